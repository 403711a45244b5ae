"""Texts on real people: what a template will look like, how long it gets and what it costs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from cascade.vocabulary import ChannelKind
from channels.models import Channel
from channels.services import invites
from channels.services.accounts import AccountError, capabilities_of
from contacts.models import Contact
from contacts.selectors import file_variables, known_variables, people_with, template_variables
from templates_app import segments
from templates_app.segments import Segments
from templates_app.services import Text, prepare, validate_text

#: Stands in the preview where a message's own reference will be: as long as one, so that the count is right.
SAMPLE_REF = "AbCdEfGhIjKlMnOpQrStUv"


@dataclass(frozen=True, slots=True)
class Sample:
    """The text for one person; `missing` names the variables without a value, then there is no text."""

    who: str
    text: str
    subject: str = ""
    missing: tuple[str, ...] = ()
    segments: Segments | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """`longest` is the sample that needs the most SMS parts; `price` that of one part on the cheapest channel."""

    samples: tuple[Sample, ...]
    longest: Sample | None
    channel: Channel | None
    limit: int

    @property
    def price(self) -> Decimal | None:
        if self.channel is None or not self.channel.price:
            return None
        parts = self.longest.segments.parts if self.longest and self.longest.segments else 1
        return self.channel.price * parts


def check_text(text: str, *, has_link: bool, known: Collection[str] | None = None) -> None:
    """Raises TemplateError or LinkError; asks for the variables in use unless they are given."""
    validate_text(text, variables_in_use() if known is None else known, has_link=has_link)


def variables_in_use() -> set[str]:
    """What a text may mention: the cards' fields and the columns of any list's file.

    Whether the lists of a campaign have the columns its text needs is asked before its launch.
    """
    return known_variables() | file_variables()


def preview(text: Text, kind: ChannelKind | str, base_url: str, people: int = 3) -> Preview:
    """The text for the newest contacts, or for the newest whose list brought the columns it mentions.

    Raises TemplateError or LinkError where it could not be saved either. With no contacts yet, one made-up person stands in, whose values are the variables' own names.
    """
    known, of_files = known_variables(), file_variables()
    check_text(text.text, has_link=bool(text.link), known=known | of_files)
    prepared = prepare(text)
    mentioned = {*prepared.text.variables, *prepared.subject.variables}
    found = people_with((mentioned & of_files) - known, people) if (mentioned & of_files) - known else []
    if not found:
        found = [(one, {}) for one in Contact.objects.order_by("-pk")[:people]]
    cards = template_variables([one.pk for one, _ in found])
    rows = [(str(one), {**cards.get(one.pk, {}), **values}) for one, values in found]
    if not rows:
        rows = [("", {name: name for name in mentioned})]
    invited = prepared.invited(invites.samples()) if prepared.invites else {}
    channel = channel_of(kind)
    counts = kind == ChannelKind.SMS
    samples = []
    for who, one in rows:
        lacking = prepared.missing(one)
        if lacking:
            samples.append(Sample(who, "", missing=tuple(lacking)))
            continue
        made = prepared.render(
            {**one, **invited}, link=f"{base_url}/l/{SAMPLE_REF}", unsubscribe=f"{base_url}/u/{SAMPLE_REF}"
        )
        counted = segments.count(made.text) if counts else None
        samples.append(Sample(who, made.text, made.subject, segments=counted))
    written = [one for one in samples if not one.missing]
    longest = max(written, key=lambda one: (one.segments.units if one.segments else 0, len(one.text)), default=None)
    return Preview(tuple(samples), longest, channel, _limit(channel))


def channel_of(kind: ChannelKind | str) -> Channel | None:
    """The owner's cheapest enabled channel of a kind: its price is shown while typing."""
    return Channel.objects.filter(kind=str(kind), enabled=True).order_by("price", "pk").first()


def _limit(channel: Channel | None) -> int:
    """Characters this channel takes; 0: unknown."""
    if channel is None:
        return 0
    try:
        return capabilities_of(channel).max_text
    except AccountError:
        return 0
