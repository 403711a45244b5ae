"""The owner's eyes and hands: opens pages, looks at each as a picky person would, fills in forms.

    site.open("/admin/channels/channel/add/")
    site.look("channel-choose")          # no errors, nothing cut, every field has a name; a picture when asked for
    site.fill("name", "SMS")
    site.save()

With GUIDE_PICTURES=<folder> every look leaves a picture there for the owner's guide (`make guide`).
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import ConsoleMessage, Locator, Page, Response, expect
from playwright.sync_api import Request as PageRequest

from tests.plugins.processes import Processes

LOGIN, PASSWORD = "owner", "right-horse-battery"

#: Desktop and phone, as (width, height).
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}

#: Pictures end here, in pixels.
TALLEST = 2000

#: What a look measures in the page. A field needs a name that a screen reader can say; hidden ones need none. What is
#: folded away (checkVisibility knows) has no text until it is opened.
_INSPECT = """() => {
  const seen = (e) => e.offsetParent !== null && e.checkVisibility() && getComputedStyle(e).visibility !== "hidden";
  const named = (e) => (e.labels && [...e.labels].some((l) => l.textContent.trim()))
    || e.getAttribute("aria-label") || e.title || e.getAttribute("aria-labelledby") || e.placeholder
    || e.querySelector("[title], [aria-label], img[alt]");
  const what = (e) => e.outerHTML.slice(0, 160);
  const fields = [...document.querySelectorAll("input, select, textarea")]
    .filter((e) => !["hidden", "submit", "button"].includes(e.type) && seen(e) && !named(e));
  const buttons = [...document.querySelectorAll("button, a[href]")]
    .filter((e) => seen(e) && !e.innerText.trim() && !named(e));
  const root = document.documentElement;
  return {
    overflow: root.scrollWidth - root.clientWidth,
    unnamed: [...fields, ...buttons].map(what),
    title: document.title,
    text: document.body.innerText,
  };
}"""

#: Signs of a page that shows its insides.
_INSIDES = re.compile(r"Traceback|{%|{{|%\(\w+\)[sd]|\bNone\b|DoesNotExist|<lazy")


class Site:
    def __init__(self, page: Page, url: str, emulator: str, processes: Processes) -> None:
        self.page, self.url, self.emulator, self.processes = page, url, emulator, processes
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"script error: {error} {error.stack}"))
        page.on("request", self._watch_request)
        page.on("response", self._watch_response)

    # ------------------------------------------------------------ watching

    def _hear(self, message: ConsoleMessage) -> None:
        # A refused policy and a failed file are console errors too.
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console {message.type}: {message.text} ({self.page.url})")

    def _watch_request(self, request: PageRequest) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.complaints.append(f"request to a foreign host: {request.url}")

    def _watch_response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")

    def look(self, picture: str = "") -> None:
        """Judge the page as it stands, in both sizes; keep pictures of it when the guide is being made."""
        self.page.wait_for_load_state("load")
        own = self.page.viewport_size
        for width, height in SIZES.values():
            self.page.set_viewport_size({"width": width, "height": height})
            self._look(picture)
        self.page.set_viewport_size(own)

    def _look(self, picture: str) -> None:
        found: dict[str, Any] = self.page.evaluate(_INSPECT)
        problems = [*self.complaints, *(f"nobody can tell what this is: {one}" for one in found["unnamed"])]
        if found["overflow"] > 0:
            problems.append(f"the page is {found['overflow']} px wider than the window")
        if inside := _INSIDES.search(found["text"]):
            problems.append(f"the page shows its insides: {inside[0]}")
        if problems:
            where = f"{self.page.viewport_size} {found['title']} ({self.page.url})"
            raise AssertionError("\n  ".join([where, *problems]))
        folder = os.environ.get("GUIDE_PICTURES")
        if folder and picture:
            self._keep(Path(folder) / f"{picture}-{self.page.viewport_size['width']}.webp")  # type: ignore[index]

    def _keep(self, path: Path) -> None:
        """The whole page as WebP, drawn by the browser itself. The window grows to the page's height for it, or the bar
        with the buttons would cover the middle."""
        window = self.page.viewport_size
        assert window is not None
        height = self.page.evaluate("document.documentElement.scrollHeight")
        self.page.set_viewport_size({"width": window["width"], "height": max(height, window["height"])})
        self.page.evaluate("document.activeElement && document.activeElement.blur()")
        session = self.page.context.new_cdp_session(self.page)
        # The end of a long list says nothing new.
        shown = min(max(height, window["height"]), TALLEST)
        clip = {"x": 0, "y": 0, "width": window["width"], "height": shown, "scale": 1}
        shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": 60, "clip": clip})
        session.detach()
        self.page.set_viewport_size(window)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    # ------------------------------------------------------------ moving

    def open(self, path: str) -> None:
        """Go to a path of the admin, or to a whole address of this site."""
        self.page.goto(path if path.startswith("http") else f"{self.url}{path}")

    def log_in(self) -> None:
        self.open("/admin/")
        self.fill("username", LOGIN)
        self.fill("password", PASSWORD)
        self.page.locator("#id_password").press("Enter")
        self.page.wait_for_url(f"{self.url}/admin/")

    def at(self, pattern: str) -> None:
        """Wait until the address ends in this (a regular expression)."""
        self.page.wait_for_url(re.compile(pattern + "$"))

    # ------------------------------------------------------------ forms

    def field(self, name: str) -> Locator:
        return self.page.locator(f"[name='{name}']").first

    def fill(self, name: str, value: str) -> None:
        self.field(name).fill(value)

    def choose(self, name: str, value: str) -> None:
        """An option of a select by its value, or by what it says."""
        select = self.field(name)
        known = select.locator("option").evaluate_all("all => all.map(e => e.value)")
        if value in known:
            select.select_option(value)
        else:
            select.select_option(label=value)

    def pick(self, name: str, text: str) -> None:
        """A search field that offers what it finds (select2)."""
        # Beside the hidden select stands what the person sees.
        self.page.locator(f"select[name='{name}'] + .select2-container").click()
        self.page.locator(".select2-container--open .select2-search__field").first.fill(text)
        self.page.locator(".select2-results__option--highlighted", has_text=text).click()

    def save(self) -> None:
        self.page.locator("button[name='_save']").click()
        self.page.wait_for_load_state("load")

    def press(self, selector: str) -> None:
        """Press a button or a link that leads to another page."""
        with self.page.expect_navigation():
            self.page.locator(selector).first.click()

    def message(self) -> str:
        """What the page says on top after something was done."""
        return self.page.locator("#messages, .messagelist, [data-messages]").first.inner_text()

    def sees(self, text: str) -> None:
        expect(self.page.locator("body")).to_contain_text(text)

    # ------------------------------------------------------------ the emulated world

    def tell(self, path: str, **body: object) -> None:
        """Tell the emulator how its people behave."""
        request = Request(
            f"{self.emulator}/_emulator/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urlopen(request, timeout=10) as answer:
            assert answer.status == 200
