"""Zadarma as the fact sheet of 2026-11-22 tells it (section 8.2): request/callback, info/balance, info/timezone, webhooks.
Mounted at /zadarma. An account's name is its key; its secret here is "secret-of-<key>".

The cabinet's clock is Moscow's. With callback_style "multipart" webhooks come the way the Node client's author has seen.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlencode

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal
from emulator.world import Message, Sending, Wanted

MOSCOW = timezone(timedelta(hours=3))
#: status -> (disposition, seconds, Q.931).
ENDS = {
    "delivered": ("answered", 14, 16),
    "read": ("answered", 14, 16),
    "short": ("answered", 2, 16),
    "busy": ("busy", 0, 17),
    "no_answer": ("no answer", 0, 19),
    "failed": ("failed", 0, 27),
    "expired": ("cancel", 0, 16),
    "not_registered": ("unallocated number", 0, 1),
}


class Zadarma(HttpProvider):
    name = "zadarma"

    def handle(self, request: Request, path: str) -> None:
        key, _, given = request.header("Authorization").partition(":")
        account = self.world.account(self.name, key)
        query = dict(parse_qsl(request.query_string, keep_blank_values=True))
        if request.method != "GET" or not hmac.compare_digest(given, _signature(key, path, query)):
            self.world.other(self.name, "wrong signature", request)
            request.reply_json({"status": "error", "message": "Not authorized"}, 401)
            return
        if path == "/v1/request/callback/":
            if not query.get("from") or not query.get("to", "").isdigit() or not query.get("predicted"):
                self.world.other(self.name, "callback refused", request)
                request.reply_json({"status": "error", "message": "Wrong parameters"}, 400)
                return
            self.world.take(request, self, account, [Wanted(query["to"], query["from"])])
            return
        self.world.other(self.name, path, request)
        if account.state == "unauthorized":
            request.reply_json({"status": "error", "message": "Not authorized"}, 401)
        elif path == "/v1/info/balance/":
            request.reply_json({"status": "success", "balance": str(account.left), "currency": "RUB"})
        elif path == "/v1/info/timezone/":
            now = time.time()
            said = datetime.fromtimestamp(now, MOSCOW).strftime("%Y-%m-%d %H:%M:%S")
            request.reply_json({"status": "success", "unixtime": int(now), "datetime": said, "timezone": "UTC+3"})
        else:
            request.reply_json({"status": "error", "message": "Not found"}, 404)

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        to = sending.wanted[0].recipient
        return as_json({"status": "success", "from": sending.wanted[0].text, "to": to, "time": int(time.time())})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        if answer == "unauthorized":
            return as_json({"status": "error", "message": "Not authorized"}, 401)
        if answer == "no_balance":
            return as_json({"status": "error", "message": "no money"}, 402)
        return as_json({"status": "error", "message": "Wrong parameters"}, 400)

    def receipt(self, message: Message, status: str) -> Hook | None:
        began = datetime.now(UTC) - timedelta(seconds=self.world.clock() - message.taken_at)
        fields = {
            "event": "NOTIFY_OUT_START" if status == "sent" else "NOTIFY_OUT_END",
            "call_start": began.astimezone(MOSCOW).strftime("%Y-%m-%d %H:%M:%S"),
            "pbx_call_id": f"out_{message.id}",
            "caller_id": "anonymous",
            "destination": message.recipient,
            "internal": "",
        }
        if status != "sent":
            word, seconds, cause = ENDS.get(status, ("failed", 0, 41))
            fields |= {"duration": str(seconds), "disposition": word, "status_code": str(cause), "is_recorded": "0"}
        signed = fields["internal"] + fields["destination"] + fields["call_start"]
        signature = {"Signature": _hex64(message.account.name, signed)}
        if message.account.callback_style == "multipart":
            part = '--{0}\r\nContent-Disposition: form-data; name="{1}"\r\n\r\n{2}\r\n'
            body = "".join(part.format("----x7", name, value) for name, value in fields.items()) + "------x7--\r\n"
            return Hook(body.encode(), {"Content-Type": "multipart/form-data; boundary=--x7", **signature})
        return Hook(urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded", **signature})


def _signature(key: str, path: str, query: dict[str, str]) -> str:
    line = urlencode(sorted(query.items()))
    return _hex64(key, path + line + hashlib.md5(line.encode(), usedforsecurity=False).hexdigest())


def _hex64(key: str, text: str) -> str:
    secret = f"secret-of-{key}".encode()
    return base64.b64encode(hmac.new(secret, text.encode(), hashlib.sha1).hexdigest().encode()).decode()
