"""“How to connect”: the owner's section of docs/channels/<provider>.md, as a part of the provider's page.

The page in docs is the only copy: it is Russian, step by step, and compared with the code by tests. What is read here is
what these pages use of Markdown and no more: paragraphs, lists, tables, headings, blocks and words of code, **bold**,
links. Everything is escaped first, so a page cannot bring markup of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from django.conf import settings
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from channels.admin.form import config_fields
from channels.providers.registry import slugs

HEADING = "## Для владельца"

_NUMBERED = re.compile(r"(\d+)\. ")
_BULLET = re.compile(r"[-*] ")
_CODE = re.compile(r"`([^`]+)`")
#: (`one`) or (`one`, `other`)
_BRACKETS = re.compile(r"\s\(`\w+`(?:, `\w+`)*\)")
_ROW_OF_DASHES = re.compile(r"\|[\s|:-]+\|")


def guide_for(slug: str) -> SafeString | None:
    """The steps of a provider as HTML; None where its page has none.

    The names of fields in the code stand behind their labels there, (`like_this`), for the tests. An owner sees labels and
    no names: these are left out, or said by their labels where they stand alone.
    """
    text = _owners_section(slug)
    if text is None:
        return None
    return to_html(text, {one.name: _(one.metadata.get("label") or one.name) for one in config_fields(slug)})


@cache
def _owners_section(slug: str) -> str | None:
    """Read once per process: the pages change with the code."""
    path = Path(settings.BASE_DIR) / "docs" / "channels" / f"{slug}.md"
    if not path.is_file():
        return None
    _, found, rest = path.read_text(encoding="utf-8").partition(f"{HEADING}\n")
    return rest.partition("\n## ")[0].strip() if found else None


def to_html(text: str, labels: Mapping[str, str] | None = None) -> SafeString:
    """The blocks of a text. `labels`: what the fields are called on the page, by their names in the code."""
    return mark_safe("".join(_blocks(text.splitlines(), labels or {})))  # noqa: S308  every text in it went through escape()


def _blocks(lines: list[str], labels: Mapping[str, str]) -> Iterator[str]:
    rest = lines
    while rest:
        line = rest[0]
        if not line.strip():
            rest = rest[1:]
        elif _NUMBERED.match(line):
            first = int(line.partition(".")[0])
            items, rest = _items(rest, _NUMBERED)
            yield f'<ol start="{first}">{"".join(_item(one, labels) for one in items)}</ol>'
        elif _BULLET.match(line):
            items, rest = _items(rest, _BULLET)
            yield f"<ul>{''.join(_item(one, labels) for one in items)}</ul>"
        elif line.startswith("|"):
            rows, rest = _while(rest, lambda one: one.startswith("|"))
            yield _table(rows, labels)
        elif line.startswith("```"):
            code, rest = _while(rest[1:], lambda one: not one.startswith("```"))
            rest = rest[1:]
            yield f"<pre>{escape(chr(10).join(code))}</pre>"
        elif line.startswith("#"):
            yield f"<h3>{_inline(line.lstrip('# '), labels)}</h3>"
            rest = rest[1:]
        else:
            words, rest = _while(rest, lambda one: bool(one.strip()) and not one.startswith("|"))
            yield f"<p>{_inline(' '.join(words), labels)}</p>"


def _while(lines: list[str], holds: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    count = next((index for index, line in enumerate(lines) if not holds(line)), len(lines))
    return lines[:count], lines[count:]


def _items(lines: list[str], mark: re.Pattern[str]) -> tuple[list[list[str]], list[str]]:
    """Items of one list, each without its mark and indent, and what follows the list."""
    items: list[list[str]] = []
    for index, line in enumerate(lines):
        if found := mark.match(line):
            items.append([line[found.end() :]])
        elif line.startswith("  ") or not line.strip():
            items[-1].append(line[3:] if line.startswith("   ") else line.strip())
        else:
            return items, lines[index:]
    return items, []


def _item(lines: list[str], labels: Mapping[str, str]) -> str:
    blocks = list(_blocks(lines, labels))
    # A step of one paragraph needs no paragraph: the list's own spacing does.
    if len(blocks) == 1 and blocks[0].startswith("<p>"):
        return f"<li>{blocks[0][3:-4]}</li>"
    return f"<li>{''.join(blocks)}</li>"


def _table(rows: list[str], labels: Mapping[str, str]) -> str:
    cells = [
        [one.strip() for one in row.strip().strip("|").split("|")] for row in rows if not _ROW_OF_DASHES.fullmatch(row)
    ]
    head = "".join(f"<th>{_inline(one, labels)}</th>" for one in cells[0])
    body = "".join(f"<tr>{''.join(f'<td>{_inline(one, labels)}</td>' for one in row)}</tr>" for row in cells[1:])
    return f"<table><tr>{head}</tr>{body}</table>"


def _inline(text: str, labels: Mapping[str, str]) -> str:
    text = _BRACKETS.sub(lambda found: "" if set(_CODE.findall(found[0])) <= labels.keys() else found[0], text)
    text = _CODE.sub(lambda found: f"«{labels[found[1]]}»" if found[1] in labels else found[0], text)
    # Code first and put aside: nothing inside it means anything.
    parts = _CODE.split(text)
    return "".join(f"<code>{escape(part)}</code>" if index % 2 else _plain(part) for index, part in enumerate(parts))


def _plain(text: str) -> str:
    shown = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))
    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", _link, shown)


def _link(found: re.Match[str]) -> str:
    """To another provider's page, or out; a page of docs that the admin does not have stays plain words."""
    words, target = found.groups()
    if target.startswith("https://"):
        return f'<a href="{target}" target="_blank" rel="noopener noreferrer">{words}</a>'
    if (slug := target.removesuffix(".md")) in slugs():
        return f'<a href="{reverse("admin:channels_channel_add")}?provider={slug}">{words}</a>'
    return words
