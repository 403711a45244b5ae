"""The table of what each provider's wire can do, made from the capabilities: python -m channels.table docs/channels.md

Each provider's own page has its row of facts too; both are compared with the code by tests/channels/test_docs.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from channels.providers.base import Capabilities
from channels.providers.registry import provider_class, slugs

BEGIN: Final = "<!-- capabilities: made by python -m channels.table docs/channels.md -->"
END: Final = "<!-- /capabilities -->"
HEADER: Final = (
    "| learns | message life | takes back | asks who is there | balance | sent / asked at once | charged on |"
)


def facts(capabilities: Capabilities) -> str:
    """One provider's row, as its own page has it."""
    learns = ", ".join(f"{milestone} ({how})" for milestone, how in capabilities.reports.items())
    life = f"{capabilities.ttl.minimum} to {capabilities.ttl.maximum}" if capabilities.ttl else "none"
    words = {True: "yes", False: "no"}
    asked = str(capabilities.poll_batch) if capabilities.poll_batch else "never"
    return (
        f"| {learns} | {life} | {words[capabilities.recall]} | {words[capabilities.check]} "
        f"| {words[capabilities.balance]} | {capabilities.send_batch} / {asked} | {capabilities.charged_on} |"
    )


def render() -> str:
    """The whole table, in the order the owner sees."""
    lines = [f"| provider | kind {HEADER}", "|---" * 9 + "|"]
    for slug in slugs():
        found = provider_class(slug)
        lines.append(f"| [{found.title}](channels/{slug}.md) | {found.kind} {facts(found.capabilities)}")
    return "\n".join(lines)


def refresh(page: str) -> str:
    """`page` with the table put between its markers. Raises ValueError if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page must contain the markers {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{render()}\n\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Print the table, or refresh the page named. Returns the exit status."""
    if not arguments:
        sys.stdout.write(render() + "\n")
        return 0
    page = Path(arguments[0])
    page.write_text(refresh(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
