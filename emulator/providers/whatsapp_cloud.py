"""WhatsApp Cloud API as the fact sheet of 2026-11-22 (section 3) and corrections A25-A28 tell it, mounted at /whatsapp_cloud.

The account is the phone number's id; its webhooks are signed with `callback_secret` (the app's secret). Templates are those of
approved(); POST .../_templates changes one of them (not a part of the API: what a person does in WhatsApp Manager). Free text
reaches only who wrote first: everybody else is refused with 131047.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from emulator.http import Poster, Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json
from emulator.world import Account, Message, Sending, Wanted, plain

BUSINESS = "102290129340398"


@dataclass
class Approved:
    """A text of this business, in Russian."""

    category: str
    body: str
    life: int = 0  #: message_send_ttl_seconds
    status: str = "APPROVED"
    parts: list[dict[str, Any]] = field(default_factory=list)


def approved() -> dict[str, Approved]:
    """What this business has, by name."""
    return {
        "visit_reminder": Approved("UTILITY", "Здравствуйте, {{1}}! Ждём вас {{2}}.", 3600),
        "spring_sale": Approved("MARKETING", "{{1}}, скидка 15% до воскресенья. Отписаться: СТОП"),
        "slow_notice": Approved("UTILITY", "Здравствуйте, {{1}}!"),
        "paused_one": Approved("UTILITY", "Здравствуйте, {{1}}!", status="PAUSED"),
        "with_picture": Approved("MARKETING", "Новинка, {{1}}", parts=[{"type": "HEADER", "format": "IMAGE"}]),
    }


#: answer -> (HTTP status, code, words)
REFUSALS = {
    "refused": (400, 131026, "Message undeliverable"),
    "blocked": (400, 131049, "This message was not delivered to maintain healthy ecosystem engagement"),
    "rate_limited": (400, 130429, "Rate limit hit"),
    "unauthorized": (401, 190, "Access token has expired"),
    "no_balance": (400, 131042, "Business eligibility payment issue"),
    "error_500": (500, 131000, "Something went wrong"),
    "error_json": (400, 424242, "Nobody has documented this"),
}
FAILED = {
    "failed": (131049, "Healthy ecosystem"),
    "expired": (131016, "Service unavailable"),
    "not_registered": (131026, "Message undeliverable"),
}
_SLOT = re.compile(r"\{\{(\d+)\}\}")


class WhatsAppCloud(HttpProvider):
    name = "whatsapp_cloud"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._numbers = itertools.count(1)
        self._poster = Poster(4)
        self.reset()

    def reset(self) -> None:
        self._templates = approved()
        #: Who wrote to us, and so may get free text.
        self._wrote: set[str] = set()

    def handle(self, request: Request, path: str) -> None:
        if path == "/_templates":
            changed = request.json()
            self._templates[changed["name"]].status = changed["status"]
            request.reply_json({"success": True})
            return
        pieces = path.strip("/").split("/")
        if len(pieces) < 2 or not re.fullmatch(r"v\d+\.\d", pieces[0]):
            _fail(request, 400, 2500, "Unknown path components")
            return
        account = self.world.account(self.name, "*" if pieces[1] == BUSINESS else pieces[1])
        operation = f"{request.method} {'/'.join(pieces[2:])}".strip()
        if operation in {"POST messages", "POST marketing_messages"}:
            self._send(request, account, request.json(), pieces[2])
            return
        self.world.other(self.name, operation, request)
        if account.state == "unauthorized":
            _fail(request, *REFUSALS["unauthorized"])
        elif operation == "GET message_templates":
            self._list(request, dict(parse_qsl(request.query_string)))
        elif operation == "GET":
            request.reply_json(
                {"id": account.name, "verified_name": "Salon", "display_phone_number": "+7 900 000-00-00"}
            )
        elif operation == "POST":
            self.world.spawn(self._subscribe(request, account, request.json().get("webhook_configuration", {})))
        else:
            _fail(request, 400, 100, "Unsupported post request")

    def _list(self, request: Request, query: dict[str, str]) -> None:
        """Two to a page at most, so that pages are turned."""
        start, size = int(query.get("after", "0") or 0), min(int(query.get("limit", "25")), 2)
        rows: list[dict[str, Any]] = []
        for name, one in list(self._templates.items())[start : start + size]:
            components = [*one.parts, {"type": "BODY", "text": one.body}]
            row = {
                "name": name,
                "language": "ru",
                "status": one.status,
                "category": one.category,
                "id": f"9{len(rows)}",
            }
            life = {"message_send_ttl_seconds": one.life} if one.life else {}
            rows.append({**row, "components": components, **life})
        paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(start + size)}}
        if start + size < len(self._templates):
            paging["next"] = "https://graph.facebook.com/next"
        request.reply_json({"data": rows, "paging": paging})

    async def _subscribe(self, request: Request, account: Account, told: dict[str, Any]) -> None:
        """Meta tries an address before it takes it."""
        url = str(told.get("override_callback_uri", ""))
        asked = {
            "hub.mode": "subscribe",
            "hub.challenge": "1158201444",
            "hub.verify_token": told.get("verify_token", ""),
        }
        code = await self._poster.send("GET", f"{url}?{urlencode(asked)}", {}, b"") if url else 0
        if code != 200:
            _fail(request, 400, 2200, "Callback verification failed")
            return
        account.callback_url = url
        request.reply_json({"success": True})

    def _send(self, request: Request, account: Account, body: dict[str, Any], path: str) -> None:
        recipient, ref = (
            str(body.get("to") or body.get("recipient") or ""),
            str(body.get("biz_opaque_callback_data", "")),
        )
        kind = body.get("type")
        if body.get("messaging_product") != "whatsapp" or not recipient:
            self._refuse(request, 400, 131008, "Required parameter is missing")
        elif kind == "template":
            text = self._text(request, body.get("template", {}))
            if text:
                self.world.take(request, self, account, [Wanted(plain(recipient), text, ref)], path=path)
        elif kind != "text" or not body.get("text", {}).get("body"):
            self._refuse(request, 400, 131051, "Unsupported message type")
        elif recipient not in self._wrote:
            self._refuse(request, 400, 131047, "Re-engagement message")
        else:
            self.world.take(request, self, account, [Wanted(plain(recipient), body["text"]["body"], ref)], path=path)

    def _text(self, request: Request, template: dict[str, Any]) -> str:
        """What a person would read; "" when it was refused."""
        facts = self._templates.get(str(template.get("name")))
        if facts is None or template.get("language", {}).get("code") != "ru":
            self._refuse(request, 404, 132001, "Template does not exist in the translation")
            return ""
        if facts.status != "APPROVED":
            self._refuse(request, 400, 132015, "Template is paused")
            return ""
        values = [
            str(one.get("text", ""))
            for part in template.get("components", [])
            if part.get("type") == "body"
            for one in part.get("parameters", [])
        ]
        wanted = len(set(_SLOT.findall(facts.body)))
        if len(values) != wanted or not all(values):
            self._refuse(
                request, 400, 132000, f"number of localizable_params ({len(values)}) does not match ({wanted})"
            )
            return ""
        if any("\n" in one or "    " in one for one in values):
            self._refuse(request, 400, 132012, "Parameter format does not match")
            return ""
        return _SLOT.sub(lambda found: values[int(found[1]) - 1], facts.body)

    def _refuse(self, request: Request, status: int, code: int, words: str) -> None:
        self.world.other(self.name, f"message refused: {code}", request)
        _fail(request, status, code, words)

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        message = messages[0]
        told = {
            "messaging_product": "whatsapp",
            "contacts": [{"input": message.recipient, "wa_id": message.recipient}],
            "messages": [{"id": _wamid(message), "message_status": "accepted"}],
        }
        return as_json(told)

    def refusal(self, sending: Sending, answer: str) -> Reply:
        status, code, words = REFUSALS[answer]
        return as_json(_error(code, words), status)

    # --- what is told

    def receipt(self, message: Message, status: str) -> Hook | None:
        told: dict[str, Any] = {
            "id": _wamid(message),
            "status": "failed" if status in FAILED else status,
            "timestamp": str(int(time.time())),
            "recipient_id": message.recipient,
            "biz_opaque_callback_data": message.ref,
        }
        if status in FAILED:
            code, words = FAILED[status]
            told["errors"] = [{"code": code, "title": words, "error_data": {"details": words}}]
        else:
            told["pricing"] = {"billable": True, "pricing_model": "PMP", "category": "utility"}
        return self._hook(message.account, {"statuses": [told]})

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        self._wrote.add(recipient)
        told: dict[str, Any] = {
            "from": recipient,
            "id": f"wamid.IN{next(self._numbers)}",
            "timestamp": str(int(time.time())),
            "type": "button" if button else "text",
        }
        told |= {"button": {"payload": button, "text": button}} if button else {"text": {"body": text}}
        if message is not None:
            told["context"] = {"id": _wamid(message)}
        contacts = [{"profile": {"name": "Person"}, "wa_id": recipient}]
        return self._hook(account, {"contacts": contacts, "messages": [told]})

    def membership(self, account: Account, recipient: str, blocked: bool) -> Hook | None:
        """“Stop” under an advertisement."""
        told = {"wa_id": recipient, "category": "marketing_messages", "value": "stop" if blocked else "resume"}
        told["timestamp"] = str(int(time.time()))
        return self._hook(account, {"user_preferences": [told]}, "user_preferences")

    def _hook(self, account: Account, value: dict[str, Any], about: str = "messages") -> Hook:
        metadata = {"display_phone_number": "79000000000", "phone_number_id": account.name}
        change = {"field": about, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
        entry = [{"id": BUSINESS, "changes": [change]}]
        body = json.dumps({"object": "whatsapp_business_account", "entry": entry}, ensure_ascii=False).encode()
        signature = hmac.new(account.callback_secret.encode(), body, hashlib.sha256).hexdigest()
        return Hook(body, {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"})


def _wamid(message: Message) -> str:
    return f"wamid.HBgL{message.id}"


def _error(code: int, words: str) -> dict[str, Any]:
    return {"error": {"message": f"(#{code}) {words}", "type": "OAuthException", "code": code, "fbtrace_id": "A"}}


def _fail(request: Request, status: int, code: int, words: str) -> None:
    request.reply_json(_error(code, words), status)
