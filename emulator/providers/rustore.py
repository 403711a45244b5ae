"""RuStore push as its help pages tell it (fact sheet of 2026-11-22, section 9.2), mounted at /rustore.

Errors in Firebase's shape, which is an assumption of ours; a success says nothing but {}.
"""

from __future__ import annotations

import re

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal
from emulator.providers.push import receipt
from emulator.world import Message, Sending, Wanted

#: answer -> (HTTP status, RPC status, words)
REFUSALS = {
    "refused": (404, "NOT_FOUND", "Requested entity was not found."),
    "blocked": (400, "INVALID_ARGUMENT", "The registration token is not valid"),
    "unauthorized": (401, "UNAUTHENTICATED", "unauthorized"),
    "no_balance": (403, "PERMISSION_DENIED", "forbidden"),
    "error_json": (400, "INVALID_ARGUMENT", "message.notification: title is a required field"),
}
_SEND = re.compile(r"/v1/projects/([^/]+)/messages:send")


class RuStore(HttpProvider):
    name = "rustore"

    def handle(self, request: Request, path: str) -> None:
        account = self.world.account(self.name, request.header("Authorization").removeprefix("Bearer "))
        body = request.json()
        message = body.get("message", {})
        if _SEND.fullmatch(path) is None or message.keys() - {"token", "data", "notification", "android"}:
            self.world.other(self.name, "message of a wrong shape", request)
            request.reply_json({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400)
            return
        if body.get("validate_only"):
            self.world.other(self.name, "validate", request)
            answer = "refused" if account.state == "ok" else account.state
            reply = _error(answer) or as_json({}, 403)
            request.reply(reply.status, reply.body, reply.kind)
            return
        shown = message.get("notification") or message.get("data", {})
        wanted = Wanted(
            str(message.get("token", "")),
            str(shown.get("body", "")),
            ref=str(message.get("data", {}).get("ref", "")),
            ttl=float(message.get("android", {}).get("ttl", "2419200s").removesuffix("s")),
            callback=str(message.get("data", {}).get("receipt", "")),
        )
        self.world.take(request, self, account, [wanted])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json({})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        return _error(answer) or front_refusal(answer) or as_json({}, 400)

    def receipt(self, message: Message, status: str) -> Hook | None:
        return receipt(message, status)


def _error(answer: str) -> Reply | None:
    if answer not in REFUSALS:
        return None
    status, rpc, words = REFUSALS[answer]
    return as_json({"error": {"code": status, "message": words, "status": rpc}}, status)
