"""Firebase Cloud Messaging, HTTP v1, as the fact sheet of 2026-11-22 (section 9.1) tells it, mounted at /fcm.

The token office is at /fcm/token: it reads the assertion's claims (who, for whom, until when) and believes its signature.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal
from emulator.providers.push import receipt
from emulator.world import RETRY_AFTER, Message, Sending, Wanted

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
#: answer -> (HTTP status, RPC status, FCM's own code)
REFUSALS = {
    "refused": (404, "NOT_FOUND", "UNREGISTERED"),
    "blocked": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    "unauthorized": (401, "UNAUTHENTICATED", ""),
    "no_balance": (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    "rate_limited": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    "error_json": (400, "INVALID_ARGUMENT", ""),
    "error_500": (500, "INTERNAL", "INTERNAL"),
}
_SEND = re.compile(r"/v1/projects/([^/]+)/messages:send")


class Fcm(HttpProvider):
    name = "fcm"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._numbers = itertools.count(1)
        self._tokens: dict[str, str] = {}

    def reset(self) -> None:
        self._tokens.clear()

    def handle(self, request: Request, path: str) -> None:
        if path == "/token":
            self._token(request)
            return
        client = self._tokens.get(request.header("Authorization").removeprefix("Bearer "))
        found = _SEND.fullmatch(path)
        if client is None or found is None:
            self.world.other(self.name, "refused", request)
            _fail(request, "unauthorized")
            return
        body = request.json()
        message = body.get("message", {})
        account = self.world.account(self.name, client)
        if body.get("validate_only"):
            self.world.other(self.name, "validate", request)
            if account.state == "ok":
                request.reply_json({"name": f"projects/{found[1]}/messages/fake_message_id"})
            else:
                _fail(request, account.state)
            return
        targets = {"token", "fid", "topic", "condition"} & message.keys()
        if len(targets) != 1 or len(request.body) > 4096 + 1024 or not _strings(message.get("data", {})):
            self.world.other(self.name, "message of a wrong shape", request)
            _fail(request, "error_json")
            return
        shown = message.get("notification") or message.get("data", {})
        life = message.get("android", {}).get("ttl", "2419200s")
        wanted = Wanted(
            str(message[targets.pop()]),
            str(shown.get("body", "")),
            ref=str(message.get("data", {}).get("ref", "")),
            ttl=float(life.removesuffix("s")),
            callback=str(message.get("data", {}).get("receipt", "")),
        )
        self.world.take(request, self, account, [wanted], project=found[1])

    def _token(self, request: Request) -> None:
        form = dict(parse_qsl(request.body.decode("latin-1")))
        claims = _claims(form.get("assertion", ""))
        client = str(claims.get("iss", ""))
        account = self.world.account(self.name, client)
        self.world.other(self.name, "token", request)
        fresh = 0 < int(claims.get("exp", 0)) - int(claims.get("iat", 0)) <= 3600 and claims.get("exp", 0) > time.time()
        if account.state == "unauthorized" or not client or not fresh or "firebase" not in str(claims.get("scope")):
            request.reply_json({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
            return
        token = f"ya29.emulated-{next(self._numbers)}"
        self._tokens[token] = client
        request.reply_json({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json({"name": f"projects/{sending.extra['project']}/messages/0:{messages[0].id}%31bd1c96"})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        return _error(answer) or front_refusal(answer) or as_json({}, 400)

    def receipt(self, message: Message, status: str) -> Hook | None:
        return receipt(message, status)


def _error(answer: str) -> Reply | None:
    if answer not in REFUSALS:
        return None
    status, rpc, code = REFUSALS[answer]
    details = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    reply = as_json({"error": {"code": status, "message": "refused", "status": rpc, "details": details}}, status)
    return replace(reply, headers=f"Retry-After: {RETRY_AFTER}\r\n") if answer == "rate_limited" else reply


def _fail(request: Request, answer: str) -> None:
    reply = _error(answer) or as_json({}, 403)
    request.reply(reply.status, reply.body, reply.kind, reply.headers)


def _strings(data: Any) -> bool:
    return isinstance(data, dict) and all(isinstance(value, str) for value in data.values())


def _claims(token: str) -> dict[str, Any]:
    try:
        middle = token.split(".")[1]
        value = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
