"""UniSender Go's web API v1 and its webhooks, as its pages and the public tests of django-anymail show them, at /unisender_go.

Source: fact sheet of 2026-11-22 (section 7.2), corrections A13. The account is the key; it signs the webhook. The webhook's
address is set in a cabinet, so here by the control API.
"""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal
from emulator.world import Message, Sending, Wanted

#: Behaviour -> word in failed_emails of a 200.
FAILED = {"refused": "permanent_unavailable", "blocked": "unsubscribed"}
REFUSALS = {
    "unauthorized": (401, 102, "API key is invalid"),
    "no_balance": (402, 229, "Not enough money"),
    "error_json": (400, 204, "Domain is not confirmed"),
}
#: Status of a message -> (the webhook's status, delivery_status)
STATUSES = {
    "sent": ("sent", "ok_sent"),
    "delivered": ("delivered", "ok_delivered"),
    "told_delivered": ("delivered", "ok_delivered"),
    "read": ("opened", "ok_read"),
    "delayed": ("soft_bounced", "err_will_retry"),
    "not_registered": ("hard_bounced", "err_user_unknown"),
    "failed": ("hard_bounced", "err_mailbox_full"),
    "expired": ("hard_bounced", "err_delivery_failed"),
    "refused_as_spam": ("hard_bounced", "err_spam_rejected"),
    "complaint": ("spam", ""),
}


class UnisenderGo(HttpProvider):
    name = "unisender_go"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._jobs = itertools.count(1)
        #: message id -> the metadata it came with
        self._metadata: dict[str, dict[str, str]] = {}

    def reset(self) -> None:
        self._metadata.clear()

    def handle(self, request: Request, path: str) -> None:
        account = self.world.account(self.name, request.header("X-API-KEY"))
        if (request.method, path) == ("POST", "/email/send.json"):
            letter = request.json()["message"]
            (recipient,) = letter["recipients"]
            metadata = {**letter.get("global_metadata", {}), **recipient.get("metadata", {})}
            text = letter.get("body", {}).get("plaintext", "")
            wanted = Wanted(recipient["email"], text, metadata.get("cascade_ref", ""))
            self.world.take(request, self, account, [wanted], metadata=metadata)
            return
        self.world.other(self.name, f"{request.method} {path}", request)
        if account.state == "unauthorized" or not account.name:
            _answer(request, _error("unauthorized"))
        elif path == "/system/info.json":
            request.reply_json({"status": "success", "user_id": 1, "email": "owner@shop.example"})
        else:
            request.reply_json({"status": "error", "message": "Unknown method", "code": 1}, 404)

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        for message in messages:
            self._metadata[message.id] = sending.extra["metadata"]
        emails = [message.recipient for message in messages]
        return as_json({"status": "success", "job_id": f"1Zym{next(self._jobs):02d}-00041N-9X", "emails": emails})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        if answer in FAILED:
            failed = {sending.wanted[0].recipient: FAILED[answer]}
            return as_json({"status": "success", "job_id": "1Zym00-00041N-9X", "emails": [], "failed_emails": failed})
        return _error(answer)

    def receipt(self, message: Message, status: str) -> Hook | None:
        if status not in STATUSES:
            return None
        word, delivery = STATUSES[status]
        event = {
            "event_name": "transactional_email_status",
            "event_data": {
                "job_id": "1ZymBc-00041N-9X",
                "metadata": {"cascade_ref": message.ref, **self._metadata.get(message.id, {})},
                "email": message.recipient,
                "status": word,
                "event_time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
                "delivery_info": {"delivery_status": delivery, "destination_response": "words of a server"},
            },
        }
        body = json.dumps({"auth": "AUTH", "events_by_user": [{"user_id": 1, "project_id": "1", "events": [event]}]})
        secret = message.account.callback_secret or message.account.name
        auth = md5(body.replace("AUTH", secret).encode(), usedforsecurity=False).hexdigest()
        return Hook(body.replace("AUTH", auth).encode(), {"Content-Type": "application/json"})


def _error(answer: str) -> Reply:
    status, code, words = REFUSALS[answer]
    return as_json({"status": "error", "message": words, "code": code}, status)


def _answer(request: Request, reply: Reply) -> None:
    request.reply(reply.status, reply.body, reply.kind)
