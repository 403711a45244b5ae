"""From the owner's template to what one channel sends: inheritance, freezing, preparing, validation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from cascade.vocabulary import ChannelKind
from templates_app import rendering
from templates_app.html import to_html
from templates_app.links import LinkError, check_link, links_in
from templates_app.models import MessageTemplate
from templates_app.rendering import LINK, UNSUBSCRIBE, Compiled, EmptyVariable, TemplateError


@dataclass(frozen=True, slots=True)
class Text:
    """What one channel kind sends, before substitution. `link` is where {link} leads."""

    text: str
    subject: str = ""
    button: str = ""
    link: str = ""
    #: Name and language of the text at the messenger that this one must be, word for word; "" where it need not.
    approved: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One person's message. `html` is only made when asked for (e-mail)."""

    text: str
    subject: str = ""
    button: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text compiled for sending: render it as often as there are people."""

    source: Text
    text: Compiled
    subject: Compiled
    button: Compiled
    #: Names of invitations it shows -> channel kind (rendering.INVITES).
    invites: Mapping[str, str]

    @property
    def uses_link(self) -> bool:
        """The text shows a tracked link, so the engine must make one."""
        return LINK in self.text.variables

    @property
    def uses_unsubscribe(self) -> bool:
        return UNSUBSCRIBE in self.text.variables

    def missing(self, values: Mapping[str, Any]) -> list[str]:
        """Variables this person has no value for, special ones aside; empty: the message can be made."""
        names = [name for part in (self.text, self.subject, self.button) for name in rendering.missing(part, values)]
        return [name for name in dict.fromkeys(names) if name not in rendering.SPECIAL_VARIABLES]

    def invited(self, links: Mapping[str, str]) -> dict[str, str]:
        """Values of the invitations it shows, from links by channel kind; "" where there is none."""
        return {name: links.get(kind, "") for name, kind in self.invites.items()}

    def render(
        self, values: Mapping[str, Any], *, link: str = "", unsubscribe: str = "", html: bool = False, trap: str = ""
    ) -> Rendered:
        """The message for one person. Raises EmptyVariable, also when the text shows {link} and none is given. `trap`: an
        address for the HTML that only machines find.

        The special variables win over a file column of the same name: an uploaded list must not be able to move
        the link. In HTML the button leads to the link; without a link an e-mail has no button.
        """
        values = _with_special(values, link, unsubscribe)
        text = self.text.render(values)
        button = self.button.render(values)
        return Rendered(
            text=text,
            subject=self.subject.render(values),
            button=button,
            html=to_html(text, button=button, button_url=link, trap=trap if link else "") if html else "",
        )

    def values_of(self, values: Mapping[str, Any], *, link: str = "", unsubscribe: str = "") -> list[str]:
        """What render() puts in the place of each variable of the text, in the text's order. Raises EmptyVariable."""
        return self.text.fill(_with_special(values, link, unsubscribe))


def _with_special(values: Mapping[str, Any], link: str, unsubscribe: str) -> Mapping[str, Any]:
    if link or unsubscribe or LINK in values or UNSUBSCRIBE in values:
        return {**values, LINK: link, UNSUBSCRIBE: unsubscribe}
    return values


def resolve(template: MessageTemplate, kind: ChannelKind | str) -> Text:
    """The text of this kind: each empty field of its variant inherits from the template.

    Works on prefetched variants without a query.
    """
    variant = next((one for one in template.variants.all() if one.kind == str(kind)), None)
    return Text(
        text=(variant and variant.text) or template.text,
        subject=(variant and variant.subject) or template.subject,
        button=(variant and variant.button) or template.button,
        link=template.link,
        approved=variant.approved_name if variant else "",
        language=variant.approved_language if variant else "",
    )


def freeze(template: MessageTemplate, kinds: Iterable[ChannelKind | str]) -> dict[str, dict[str, str]]:
    """JSON-able copy of the texts a launch needs; later edits of the template do not touch it."""
    return {str(kind): asdict(resolve(template, kind)) for kind in kinds}


def thaw(frozen: Mapping[str, Mapping[str, str]]) -> dict[str, Text]:
    """The inverse of freeze(): channel kind -> Text. Fields a newer version added to Text take their defaults."""
    return {kind: Text(**fields) for kind, fields in frozen.items()}


@lru_cache(maxsize=1024)
def prepare(text: Text) -> Prepared:
    """Compile once, render often; cached per process. Raises TemplateError."""
    whole, subject, button = (rendering.compile_text(part) for part in (text.text, text.subject, text.button))
    names = {*whole.variables, *subject.variables, *button.variables}
    shown = {name: kind for name, kind in rendering.INVITES.items() if name in names}
    return Prepared(text, whole, subject, button, MappingProxyType(shown))


def validate_text(text: str, known: Collection[str] | None = None, *, has_link: bool = True) -> Compiled:
    """Everything that can be wrong with a text before anybody gets it.

    Raises TemplateError (with its place) or LinkError. `known` None skips the question which variables exist.
    """
    compiled = rendering.compile_text(text, known)
    if LINK in compiled.variables and not has_link:
        raise TemplateError(_NO_LINK, compiled.variables[LINK].position)
    for url in links_in(text):
        check_link(url)
    return compiled


_NO_LINK = rendering.gettext_noop(
    "Line %(line)s, column %(column)s: the text shows {link}, but the template has no link. Fill in the field “link”."
)

__all__ = [
    "EmptyVariable",
    "LinkError",
    "Prepared",
    "Rendered",
    "TemplateError",
    "Text",
    "check_link",
    "freeze",
    "prepare",
    "resolve",
    "thaw",
    "validate_text",
]
