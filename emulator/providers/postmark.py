"""Postmark's API and webhooks, as django-anymail's public tests show them, mounted at /postmark.

Source: fact sheet of 2026-11-22 (section 7.2). The account is the server's token; webhooks are not signed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal, json_hook
from emulator.world import Message, Sending, Wanted

#: Behaviour -> (HTTP status, ErrorCode, words)
REFUSALS = {
    "refused": (422, 300, "Error parsing 'To': Illegal email address '{0}'."),
    "blocked": (
        422,
        406,
        (
            "You tried to send to a recipient that has been marked as inactive. "
            "Found inactive addresses: {0}. Inactive recipients are ones that have generated a hard bounce."
        ),
    ),
    "unauthorized": (
        401,
        10,
        "The Server Token you provided in the X-Postmark-Server-Token request header was invalid.",
    ),
    "no_balance": (422, 405, "Not allowed to send: you ran out of credits, not enough credits."),
    "error_json": (422, 400, "Sender signature not found"),
}
#: Status of a message -> fields of the webhook.
STATUSES: dict[str, dict[str, Any]] = {
    "delivered": {"RecordType": "Delivery", "Details": "Test delivery webhook details"},
    "read": {"RecordType": "Open"},
    "delayed": {"RecordType": "Bounce", "Type": "Transient", "Details": "smtp;451 4.4.1 timed out"},
    "told_delivered": {"RecordType": "Delivery"},
    "not_registered": {"RecordType": "Bounce", "Type": "HardBounce", "Details": "smtp;550 5.1.1 unknown user"},
    "failed": {"RecordType": "Bounce", "Type": "SoftBounce", "Details": "smtp;552 5.2.2 mailbox full"},
    "expired": {"RecordType": "Bounce", "Type": "SoftBounce", "Details": "smtp;554 5.4.7 delivery time expired"},
    "refused_as_spam": {"RecordType": "Bounce", "Type": "Blocked", "Details": "smtp;550 5.7.1 spam"},
    "complaint": {"RecordType": "SpamComplaint", "Type": "SpamComplaint"},
}


class Postmark(HttpProvider):
    name = "postmark"

    def handle(self, request: Request, path: str) -> None:
        account = self.world.account(self.name, request.header("X-Postmark-Server-Token"))
        if (request.method, path) == ("POST", "/email"):
            letter = request.json()
            ref = letter.get("Metadata", {}).get("cascade_ref", "")
            self.world.take(request, self, account, [Wanted(letter["To"], letter.get("TextBody", ""), ref)])
            return
        self.world.other(self.name, f"{request.method} {path}", request)
        if account.state == "unauthorized" or not account.name:
            request.reply_json({"ErrorCode": 10, "Message": "No token"}, 401)
        elif path == "/server":
            request.reply_json({"ID": 1, "Name": "Emulated"})
        else:
            request.reply_json({"ErrorCode": 0, "Message": "Not found"}, 404)

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        answer = {"To": messages[0].recipient, "MessageID": messages[0].id, "ErrorCode": 0, "Message": "OK"}
        return as_json({**answer, "SubmittedAt": datetime.now(UTC).isoformat()})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        status, code, words = REFUSALS[answer]
        return as_json({"ErrorCode": code, "Message": words.format(sending.wanted[0].recipient)}, status)

    def receipt(self, message: Message, status: str) -> Hook | None:
        if status not in STATUSES:
            return None
        fields = STATUSES[status]
        moment = {"Delivery": "DeliveredAt", "Open": "ReceivedAt"}.get(fields["RecordType"], "BouncedAt")
        who = "Email" if moment == "BouncedAt" else "Recipient"
        told = {
            "MessageID": message.id,
            "Metadata": {"cascade_ref": message.ref},
            who: message.recipient,
            moment: datetime.now(UTC).isoformat(),
            **fields,
        }
        return json_hook(told)
