"""What push channels share: an app or a site of the owner's stands at the other end, and only it knows what happened.

No push service tells whether a message was shown or opened. The app does, by our own small protocol (docs/channels/app.md):
it POSTs {"ref": "...", "event": "delivered" | "opened"} to the address in the message. The reference is random and known to
nobody but who got the message, so it is the proof; the account's key in the address only says whose app this is. A
registered device is {"token": "..."} (see each provider's device_address).

FCM and RuStore share the shape of a request as well: RuStore calls itself a drop-in replacement.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, Milestone
from channels.providers import wire
from channels.providers.base import (
    N_,
    CallbackItem,
    CallbackRejected,
    CallbackRequest,
    Capabilities,
    How,
    OutgoingMessage,
    Provider,
    StatusReport,
    TtlRange,
)

#: Four weeks are the longest any of the services promises.
LIFE: Final = TtlRange(timedelta(seconds=1), timedelta(days=28))

CAPABILITIES: Final = Capabilities(
    address=AddressKind.DEVICE,
    reports={Milestone.ACCEPTED: How.ANSWER, Milestone.CLICKED: How.LINK},
    poll_batch=0,
    ttl=LIFE,
    max_text=1000,
    has_subject=True,
    default_rate=50.0,
    charged_on=ChargedOn.ACCEPTED,
)
#: The same with an app that reports.
WITH_RECEIPTS: Final = replace(
    CAPABILITIES,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.DELIVERED: How.CALLBACK,
        Milestone.READ: How.CALLBACK,
        Milestone.CLICKED: How.LINK,
    },
)

#: What an app says happened.
EVENTS: Final[dict[str, Milestone]] = {"delivered": Milestone.DELIVERED, "opened": Milestone.READ}

#: A word, known or of tomorrow.
_EVENT: Final = re.compile(r"[a-z_]{1,20}")
#: Shape of a push token: printable and without spaces, as long as an address may be with the word for its kind.
_TOKEN: Final = re.compile(r"[!-~]{8,900}")


class PushProvider(Provider):
    """Base of the push adapters."""

    kind: ClassVar[ChannelKind] = ChannelKind.PUSH
    price_habit: ClassVar[str] = N_("Free")

    def verify_callback(self, request: CallbackRequest) -> None:
        if not wire.same(request.query.get("key", ""), wire.app_key(self.callback_secret)):
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """One receipt of the app's; none where this account's app is not said to report: nothing may depend on it."""
        body = wire.json_object(request.body)
        if body is None:
            raise ValueError("not a JSON object")
        ref, event = wire.ident(body.get("ref")), wire.ident(body.get("event"))
        if not wire.OUR_REF.fullmatch(ref) or not _EVENT.fullmatch(event):
            raise ValueError("a receipt without ref or event")
        if Milestone.DELIVERED not in self.capabilities.reports:
            return []
        return [StatusReport(event_key=f"{ref}:{event}", raw=event, ref=ref, milestone=EVENTS.get(event))]


def token_of(told: Mapping[str, Any], name: str) -> str:
    """A push token as an app registers it, "" when it is missing. Raises ValueError for nonsense."""
    token = wire.scalar(told.get(name))
    if token and not _TOKEN.fullmatch(token):
        raise ValueError(f"not a push token: {name}")
    return token


def life_of(message: OutgoingMessage) -> int:
    """Whole seconds the message may live at the service: never its default, which is four weeks."""
    return int(LIFE.snap(message.ttl or LIFE.minimum).total_seconds())


def link_of(message: OutgoingMessage) -> str:
    """The message's tracked link, "" where its text has none: what a tap on the notification opens."""
    if f"/l/{message.ref}" not in message.text:
        return ""
    found = re.search(rf"https?://[^\s<>\"']{{1,200}}/l/{re.escape(message.ref)}", message.text)
    return found[0] if found else ""


def data_of(message: OutgoingMessage, app_url: str) -> dict[str, str]:
    """What the app needs to drop a repeat, to open the right page and to report; all values are strings (the wires take no
    others). `app_url` "" for an app that does not report."""
    data = {"ref": message.ref, "key": message.key}
    if url := link_of(message):
        data["url"] = url
    if app_url:
        data["receipt"] = f"{app_url}receipt"
    return data


def error_of(body: Mapping[str, Any]) -> tuple[str, str, set[str]]:
    """Of an error in Google's shape: the service's own code, the RPC status, the fields it blames."""
    error = wire.get_dict(body, "error")
    details = error.get("details")
    code, fields = "", set()
    for detail in details if isinstance(details, list) else []:
        if not isinstance(detail, dict):
            continue
        if wire.scalar(detail.get("@type")).endswith(".FcmError"):
            code = wire.ident(detail.get("errorCode"))
        violations = detail.get("fieldViolations")
        fields |= {
            wire.ident(each.get("field"))
            for each in (violations if isinstance(violations, list) else [])
            if isinstance(each, dict)
        }
    return code, wire.ident(error.get("status")), fields


def parsed_account(text: str) -> dict[str, str]:
    """A credentials file pasted into a field: its strings; {} when it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: each for name, each in value.items() if isinstance(each, str)} if isinstance(value, dict) else {}
