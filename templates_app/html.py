"""An e-mail's HTML, made from its plain text: paragraphs, links, one button. No Django here.

The text arrives rendered, with people's values inside, so all of it is escaped and nothing of it is believed.
Owners write one text; a designed letter is a later wish and will not come through here.
"""

from __future__ import annotations

import re
from html import escape

from templates_app.links import TRAILING, URL_IN_TEXT

_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_BODY = (
    '<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head>'
    '<body style="margin:0;padding:24px;font:16px/1.5 Arial,sans-serif;color:#1f2937">{}</body></html>'
)
_BUTTON = (
    '<p><a href="{}" style="display:inline-block;padding:12px 24px;border-radius:6px;background:#1d4ed8;'
    'color:#ffffff;text-decoration:none">{}</a></p>'
)


#: No person sees or reaches it; what opens every address of a letter does.
_TRAP = '<a href="{}" style="display:none" aria-hidden="true" tabindex="-1"></a>'


def to_html(text: str, *, button: str = "", button_url: str = "", trap: str = "") -> str:
    """A whole HTML page for this plain text; the button needs both its words and its address. `trap`: an address only
    machines open."""
    blocks = [block for block in _PARAGRAPH.split(text.replace("\r\n", "\n").strip()) if block]
    body = "".join(f"<p>{_inline(block)}</p>" for block in blocks)
    if button and button_url.lower().startswith(("https://", "http://")):
        body += _BUTTON.format(escape(button_url), escape(button))
    if trap:
        body += _TRAP.format(escape(trap))
    return _BODY.format(body)


def _inline(block: str) -> str:
    """Escaped text with <br> and live http(s) addresses."""
    out: list[str] = []
    at = 0
    for found in URL_IN_TEXT.finditer(block):
        url = found.group().rstrip(TRAILING)
        end = found.start() + len(url)
        out.append(escape(block[at : found.start()]))
        out.append(f'<a href="{escape(url)}">{escape(url)}</a>')
        at = end
    out.append(escape(block[at:]))
    return "".join(out).replace("\n", "<br>\n")
