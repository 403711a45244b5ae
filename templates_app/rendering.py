"""The language of message texts. Everything that decides what a text means lives in this file.

    {name}         the value of the variable `name`; a person without one gets no message from this step
    {name|friend}  the same, with a text for people without a value; {name|} says "nothing, then"
    <name>         the same as {name}, because lists and older tools write it so; <name|friend> too
    \\{  \\}  \\<     a literal brace or angle bracket; a backslash anywhere else is only a backslash

A name is letters of any alphabet, digits and underscores, beginning with a letter or underscore; inside braces
words may be joined by a space or a hyphen, as column headers are (`{дата визита}`). Between angle brackets only a
name counts: `<3`, `a < b` and `<https://example.com>` are plain text, `<b>` is the variable `b` (and then usually
an unknown one, which tells the owner that HTML does not work here before a client sees it).

Three properties the rest of the system leans on:

* **Values are data.** A text is split once, at compile time; rendering joins the pieces with the values and never
  looks inside a value. A client called `{link}` is greeted as `{link}`. This is also why it is not `str.format`,
  where `{name.__class__}` reads attributes.
* **Strict.** Whatever could be a slip of the pen (`{name`, `name}`, `{{ name }}`, `{% if %}`, `${name}`) is
  refused with its line and column while the owner still has the text in front of them.
* **Fast.** Compile once per campaign, then about as fast as `str.format_map` (test_rendering.py holds the ratio).

No Django here, no database, no clock: the engine, the preview and the tests call the same code.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import Any

#: Filled by the engine for each message, known to every text.
LINK = "link"
UNSUBSCRIBE = "unsubscribe"
#: Links by which this person opens a dialogue with us, and is known from the first word on: name -> channel kind.
INVITES = MappingProxyType(
    {
        "telegram_link": "telegram",
        "max_link": "max",
        "vk_link": "vk",
        "ссылка_telegram": "telegram",
        "ссылка_max": "max",
        "ссылка_vk": "vk",
    }
)
SPECIAL_VARIABLES = frozenset({LINK, UNSUBSCRIBE, *INVITES})


def gettext_noop(message: str) -> str:
    """Mark a message for translation; who shows it translates it (this module knows no Django)."""
    return message


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text: `offset` counts from 0, `line` and `column` from 1 as an owner counts."""

    offset: int
    line: int
    column: int


class TemplateError(ValueError):
    """The text cannot be a template. `message` is an English msgid, `params` fill its %(name)s."""

    def __init__(self, message: str, position: Position, **params: str) -> None:
        super().__init__(message, position, params)
        self.message = message
        self.position = position
        self.params: dict[str, Any] = {"line": position.line, "column": position.column, **params}

    def __str__(self) -> str:
        return self.message % self.params


class EmptyVariable(ValueError):  # noqa: N818 - a fact about one contact, which the engine turns into a reason
    """This person has no value for a variable that has no fallback."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a text. `has_fallback` only if each place that uses it has one."""

    has_fallback: bool
    position: Position


@dataclass(frozen=True, slots=True)
class Compiled:
    """A text split at its variables. Immutable, safe to share between threads."""

    source: str
    variables: Mapping[str, Variable]
    #: Literal pieces with "" where a value goes; copied for each rendering.
    _pieces: tuple[str, ...] = field(repr=False)
    #: (index into _pieces, name, fallback or None)
    _slots: tuple[tuple[int, str, str | None], ...] = field(repr=False)

    @property
    def literals(self) -> list[str]:
        """The words before, between and after the variables: one more than there are variables."""
        found = [""]
        slots = {index for index, _, _ in self._slots}
        for index, piece in enumerate(self._pieces):
            if index in slots:
                found.append("")
            else:
                found[-1] += piece
        return found

    @property
    def names(self) -> list[str]:
        """The variables in the order of the text, as often as they stand there."""
        return [name for _, name, _ in self._slots]

    def render(self, values: Mapping[str, Any]) -> str:
        """The text for one person. Raises EmptyVariable when a value without a fallback is empty or blank."""
        return "".join(self._filled(values))

    def fill(self, values: Mapping[str, Any]) -> list[str]:
        """What render() puts in the place of each variable, in the order of the text. Raises EmptyVariable."""
        pieces = self._filled(values)
        return [pieces[index] for index, _, _ in self._slots]

    def _filled(self, values: Mapping[str, Any]) -> list[str]:
        pieces = list(self._pieces)
        get = values.get
        for index, name, fallback in self._slots:
            value = get(name)
            if value.__class__ is not str:
                value = "" if value is None else str(value)
            if not value or value.isspace():
                if fallback is None:
                    raise EmptyVariable(name)
                value = fallback
            pieces[index] = value
        return pieces


def missing(compiled: Compiled, values: Mapping[str, Any]) -> list[str]:
    """Names that would raise EmptyVariable, in the order of the text: all of them, for the list before launch."""
    return [
        name
        for name, variable in compiled.variables.items()
        if not variable.has_fallback and _is_empty(values.get(name))
    ]


def overlay(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Values of several sources (the card, the campaign's file, the event) as one; the later source wins, except where
    it is empty: a blank cell in a file must not hide the name on the card."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update({name: value for name, value in layer.items() if name not in merged or not _is_empty(value)})
    return merged


def _is_empty(value: Any) -> bool:
    return value is None or not str(value).strip()


_NAME = r"[^\W\d]\w*"
_BRACED_NAME = re.compile(rf"{_NAME}(?:[ -]\w+)*\Z")
_ANGLE = re.compile(rf"<(?P<name>{_NAME})(?:\|(?P<fallback>[^<>{{}}\n]*))?>")
#: What may begin something: an escape, an opening or closing brace, an angle variable.
_MARK = re.compile(r"\\[{}<]|[{}<]")

_DOUBLE = gettext_noop(
    "Line %(line)s, column %(column)s: write a variable with single braces, like {name}. Double braces do not work here."
)
_BLOCK = gettext_noop(
    "Line %(line)s, column %(column)s: {%% ... %%} does not work here. Only variables like {name} are filled in."
)
_DOLLAR = gettext_noop("Line %(line)s, column %(column)s: write {name} without the dollar sign.")
_UNCLOSED = gettext_noop(
    "Line %(line)s, column %(column)s: this brace is never closed. Write {name}, or \\{ for the brace itself."
)
_NESTED = gettext_noop("Line %(line)s, column %(column)s: a brace inside a variable. Close the first one before.")
_STRAY = gettext_noop(
    "Line %(line)s, column %(column)s: a closing brace without an opening one. Write \\} for the brace itself."
)
_EMPTY = gettext_noop("Line %(line)s, column %(column)s: there is no name between the braces.")
_BAD_NAME = gettext_noop(
    "Line %(line)s, column %(column)s: “%(name)s” cannot be the name of a variable. Letters, digits and _ are allowed."
)
_UNKNOWN = gettext_noop("Line %(line)s, column %(column)s: there is no variable “%(name)s”.")
_UNKNOWN_CLOSE = gettext_noop(
    "Line %(line)s, column %(column)s: there is no variable “%(name)s”. Did you mean {%(close)s}?"
)


def compile_text(text: str, known: Collection[str] | None = None) -> Compiled:
    """Split `text` at its variables. Raises TemplateError; with `known`, also for a variable not in it
    (the special variables need not be in it)."""
    pieces: list[str] = []
    slots: list[tuple[int, str, str | None]] = []
    variables: dict[str, Variable] = {}
    literal: list[str] = []
    for token in _tokens(text):
        if isinstance(token, str):
            literal.append(token)
            continue
        offset, name, fallback = token
        if literal:
            pieces.append("".join(literal))
            literal.clear()
        slots.append((len(pieces), name, fallback))
        pieces.append("")
        seen = variables.get(name)
        if seen is None:
            variables[name] = Variable(fallback is not None, position_at(text, offset))
        elif fallback is None and seen.has_fallback:
            variables[name] = Variable(False, seen.position)
    if literal:
        pieces.append("".join(literal))
    compiled = Compiled(text, MappingProxyType(variables), tuple(pieces), tuple(slots))
    if known is not None:
        check_known(compiled, known)
    return compiled


#: For texts that come back again and again (one campaign's frozen variants): a hit costs a dict look-up.
compiled = lru_cache(maxsize=1024)(compile_text)


def check_known(text: Compiled, known: Collection[str]) -> None:
    """Raises TemplateError for the first variable that is neither in `known` nor special."""
    allowed = {*known, *SPECIAL_VARIABLES}
    for name, variable in text.variables.items():
        if name not in allowed:
            folded = {one.casefold(): one for one in sorted(allowed)}
            close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
            if close:
                raise TemplateError(_UNKNOWN_CLOSE, variable.position, name=name, close=folded[close[0]])
            raise TemplateError(_UNKNOWN, variable.position, name=name)


def escape(text: str) -> str:
    """A text that compiles to exactly `text`, without variables: for pasting foreign words into a template."""
    return re.sub(r"[{}<]", r"\\\g<0>", text)


def position_at(text: str, offset: int) -> Position:
    """Line and column of an offset; lines end at \\n only, as in a browser's text field."""
    before = text.rfind("\n", 0, offset)
    return Position(offset, text.count("\n", 0, offset) + 1, offset - before)


def _tokens(text: str) -> Iterator[str | tuple[int, str, str | None]]:
    """Literals as strings, variables as (offset, name, fallback or None), in order."""
    at = 0
    while (mark := _MARK.search(text, at)) is not None:
        start = mark.start()
        if start > at:
            yield text[at:start]
        sign = mark.group()
        if sign[0] == "\\":
            yield sign[1]
            at = mark.end()
        elif sign == "<":
            angle = _ANGLE.match(text, start)
            if angle is None:
                yield "<"
                at = mark.end()
            else:
                yield start, angle["name"], angle["fallback"]
                at = angle.end()
        elif sign == "}":
            raise _error(_STRAY, text, start)
        else:
            if start > 0 and text[start - 1] == "$":
                raise _error(_DOLLAR, text, start - 1)
            variable, at = _braced(text, start)
            yield variable
    if at < len(text):
        yield text[at:]


def _braced(text: str, start: int) -> tuple[tuple[int, str, str | None], int]:
    """The variable whose brace opens at `start`, and where the text goes on. Raises TemplateError.

    A variable stays on its line: else one forgotten brace would swallow half of the message as a fallback.
    """
    follows = text[start + 1 : start + 2]
    if follows == "{":
        raise _error(_DOUBLE, text, start)
    if follows == "%":
        raise _error(_BLOCK, text, start)
    inside: list[str] = []
    at = start + 1
    while True:
        sign = text[at : at + 1]
        if sign in {"", "\n"}:
            raise _error(_UNCLOSED, text, start)
        if sign == "}":
            break
        if sign == "{":
            raise _error(_NESTED, text, at)
        if sign == "\\" and text[at + 1 : at + 2] in {"{", "}", "<"}:
            at += 1
            sign = text[at]
        inside.append(sign)
        at += 1
    name, bar, fallback = "".join(inside).partition("|")
    name = name.strip()
    if not name:
        raise _error(_EMPTY, text, start)
    if not _BRACED_NAME.match(name):
        raise _error(_BAD_NAME, text, start, name=name)
    return (start, name, fallback if bar else None), at + 1


def _error(message: str, text: str, offset: int, **params: str) -> TemplateError:
    return TemplateError(message, position_at(text, offset), **params)
