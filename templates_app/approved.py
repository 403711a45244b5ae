"""Is a text of ours the one that a messenger has approved, and what goes into its {{1}}, {{2}}?

The rule is the simplest honest one: our text is the approved one word for word, with one variable of ours in the place of
each {{n}}. So the owner sees what people will read, our preview and our count are those of the real message, and a change on
either side shows as a difference in words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from templates_app.rendering import Compiled, gettext_noop

_SLOT = re.compile(r"\{\{\s*(\d{1,4})\s*\}\}")
#: Words shown on either side of a difference.
_AROUND = 30

_COUNT = gettext_noop(
    "The approved text has %(wanted)s places for variables, yours has %(given)s. The approved text: %(body)s"
)
_WORDS = gettext_noop(
    "Your text differs from the approved one. Approved: “%(approved)s”. Yours: “%(yours)s”. Only the variables may be yours."
)
_TWO = gettext_noop("The approved text has {{%(number)s}} twice: the same variable must stand in both places.")


class Differs(ValueError):  # noqa: N818 - a fact about two texts, told to the owner
    """The two are not the same. `message` is an English msgid, `params` fill its %(name)s."""

    def __init__(self, message: str, **params: str) -> None:
        super().__init__(message, params)
        self.message = message
        self.params = params


def places(body: str, text: Compiled) -> tuple[int, ...]:
    """For each parameter of the approved `body`, in the order of their numbers, which variable of `text` fills it: an index
    into Compiled.fill(). Raises Differs."""
    numbers, literals = _split(body)
    if len(text.names) != len(numbers):
        raise Differs(_COUNT, wanted=str(len(numbers)), given=str(len(text.names)), body=body)
    ours = _tidy(text.literals)
    for index, (approved, yours) in enumerate(zip(literals, ours, strict=True)):
        if approved != yours:
            at = next(
                (i for i, (a, b) in enumerate(zip(approved, yours, strict=False)) if a != b),
                min(len(approved), len(yours)),
            )
            raise Differs(
                _WORDS,
                approved=_around(literals, [f"{{{{{number}}}}}" for number in numbers], index, at),
                yours=_around(ours, [f"{{{name}}}" for name in text.names], index, at),
            )
    found: dict[int, int] = {}
    for index, number in enumerate(numbers):
        if text.names[found.setdefault(number, index)] != text.names[index]:
            raise Differs(_TWO, number=str(number))
    return tuple(found[number] for number in sorted(found))


def _split(body: str) -> tuple[list[int], list[str]]:
    parts = _SLOT.split(body)
    return [int(number) for number in parts[1::2]], _tidy(parts[0::2])


def _tidy(literals: Sequence[str]) -> list[str]:
    """Line ends as one, none at the end of the whole: what no reader sees is no difference."""
    tidy = [one.replace("\r\n", "\n").replace("\r", "\n") for one in literals]
    tidy[0], tidy[-1] = tidy[0].lstrip(), tidy[-1].rstrip()
    return tidy


def _around(literals: Sequence[str], slots: Sequence[str], index: int, at: int) -> str:
    """The words around a place in a literal, with the variables between."""
    before = "".join(f"{one}{slot}" for one, slot in zip(literals[:index], slots, strict=False))
    whole = (
        before
        + literals[index]
        + "".join(f"{s}{one}" for s, one in zip(slots[index:], literals[index + 1 :], strict=True))
    )
    place = len(before) + at
    start, end = max(0, place - _AROUND), place + _AROUND
    return f"{'…' if start else ''}{whole[start:end]}{'…' if end < len(whole) else ''}"
