"""GREEN-API for WhatsApp: a gateway over an ordinary WhatsApp account (QR code), not Meta's official API.

Sources: green-api.com/docs/api (sendMessage, checkWhatsapp, deleteMessage, getMessage, getStateInstance,
setSettings, webhooks, common-errors) as read in our fact sheet of 2026-11-22, corrections A2-A5, A29, A31.

The messenger's terms forbid automation: accounts get yellow cards and are blocked. The owner is told.

Unverified, and how we live with it:
* `deleteMessage`: what it answers and its time window; HTTP 200 is taken as done. The person may have seen it.
* texts of a `failed` status that mean "system error": the word "system" only.
* `quotedMessage.stanzaId` as the id of the message replied to: used for matching when it is there.
* buttons: sent by some SDK methods, shown by nobody knows which clients: capability 0.
* whether 500 and 502 ever mean "not sent": treated as unknown outcome.
* accepted is not sent: GREEN-API queues, and keeps the queue for 24 h while the instance is logged out
  (takes_while_offline). What was taken in the minute before we noticed may arrive after the fallback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    Accepted,
    AccountReport,
    AddressChange,
    AddressState,
    Answer,
    Call,
    CallbackItem,
    CallbackRejected,
    CallbackRequest,
    Capabilities,
    How,
    HttpCall,
    Inbound,
    OutgoingMessage,
    Provider,
    SendResult,
    SentMessage,
    StatusReport,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class GreenApiConfig:
    id_instance: str = option(N_("Instance number"), N_("idInstance in the console, for example 1101000001."))
    api_token: str = secret(N_("Instance token"), N_("apiTokenInstance in the console."))


CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.BOTH,
        Milestone.DELIVERED: How.BOTH,
        Milestone.READ: How.BOTH,
        Milestone.CLICKED: How.LINK,
        Milestone.REPLIED: How.CALLBACK,
    },
    poll_batch=1,
    recall=True,
    check=True,
    takes_while_offline=True,
    max_text=20_000,
    default_rate=2.0,  # the gateway's own queue sends one message each 0.5 s at best
    charged_on=ChargedOn.ACCEPTED,
    callback_set_by_hand=False,
)

#: status of a webhook or of getMessage -> milestone.
MILESTONES: Final[dict[str, Milestone]] = {
    "sent": Milestone.SENT,
    "delivered": Milestone.DELIVERED,
    "read": Milestone.READ,
}

#: status that ends a message badly -> what it means.
FAILED_STATUSES: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "noAccount": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    "failed": (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    "notInGroup": (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    "yellowCard": (FailureClass.AUTH, None),  # WhatsApp has suspended sending from this account
}

#: Words of an error text (any case) -> what they mean; the first that is found counts.
ERRORS: Final[tuple[tuple[str, FailureClass, Reason | None], ...]] = (
    ("in starting process", FailureClass.TRANSIENT, None),
    ("starting or not authorized", FailureClass.AUTH, None),
    ("account is expired", FailureClass.BALANCE, None),
    ("instance is deleted", FailureClass.AUTH, None),
    ("bad phone number", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("chatid", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("phonenumber", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("validation failed", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    ("bad request data", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    ("unexpected token", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
)

#: HTTP statuses with their own meaning here. 404 is an nginx page: the instance number, token or host is wrong.
HTTP_ERRORS: Final[dict[int, FailureClass]] = {
    401: FailureClass.AUTH,
    403: FailureClass.AUTH,
    404: FailureClass.AUTH,
    429: FailureClass.RATE_LIMITED,
    466: FailureClass.BALANCE,
}

#: stateInstance -> (may send, what the owner should do).
STATES: Final[dict[str, tuple[bool, str]]] = {
    "authorized": (True, N_("The instance is connected to WhatsApp.")),
    "notAuthorized": (False, N_("The instance is logged out. Open the console and scan the QR code again.")),
    "blocked": (False, N_("WhatsApp has blocked this number. Nothing can be sent from it.")),
    "starting": (False, N_("The instance is starting. Try again in five minutes.")),
    "sleepMode": (False, N_("The phone of this instance is offline. Switch it on and connect it to the internet.")),
    "yellowCard": (False, N_("WhatsApp has suspended sending (yellow card). Reboot the instance and send less.")),
    "suspended": (
        False,
        N_("WhatsApp has suspended this account for a while. Send less, and only to who waits for it."),
    ),
    "pendingPassword": (False, N_("The instance waits for the two-step password. Enter it in the console.")),
}


class GreenApiWhatsApp(Provider):
    slug: ClassVar[str] = "green_api_whatsapp"
    kind: ClassVar[ChannelKind] = ChannelKind.WHATSAPP
    title: ClassVar[str] = N_("GREEN-API (WhatsApp)")
    base_url: ClassVar[str] = "https://api.green-api.com"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = GreenApiConfig

    config: GreenApiConfig

    def __init__(self, config: GreenApiConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        # The token comes back in the body of errors (correction A3).
        self._secrets = (config.api_token, callback_secret)
        self._send_url = self._url("sendMessage")

    def _url(self, method: str) -> str:
        return f"{self.base}/waInstance{self.config.id_instance}/{method}/{self.config.api_token}"

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            HttpCall(
                "POST",
                self._send_url,
                json={"chatId": _chat_id(message.address), "message": message.text},
                refs=(message.ref,),
            )
            for message in messages
        ]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        if answer.status == 200 and not answer.truncated:
            message_id = wire.ident(wire.get_dict(wire.parse_json(answer.body)).get("idMessage"))
            if message_id:
                return [Accepted(ref, message_id) for ref in call.refs]
        failure, reason = self._error(answer)
        detail = wire.scrub(f"HTTP {answer.status}: {wire.words(answer.body, self._secrets)}", self._secrets)
        wait = wire.retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, detail, reason=reason, wait=wait)

    def _error(self, answer: Answer) -> tuple[FailureClass, Reason | None]:
        """What an answer without an id means. Errors come as plain text, JSON, HTML or nothing (correction A5)."""
        if answer.status in HTTP_ERRORS:
            return HTTP_ERRORS[answer.status], None
        if answer.status == 400 or (answer.status == 200 and _says_no(answer.body)):
            text = answer.body[:4096].decode("utf-8", "replace").lower()
            for word, failure, reason in ERRORS:
                if word in text:
                    return failure, reason
        return wire.by_http_status(answer), None

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        return [
            HttpCall(
                "POST",
                self._url("getMessage"),
                json={"chatId": _chat_id(message.address), "idMessage": message.provider_message_id},
                refs=(message.ref,),
            )
            for message in messages
            if message.provider_message_id
        ]

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if answer.no_answer is not None or answer.status != 200 or answer.truncated or not isinstance(call, HttpCall):
            return []
        body, asked = wire.get_dict(wire.parse_json(answer.body)), wire.get_dict(call.json)
        message_id, status = wire.ident(asked.get("idMessage")), wire.ident(body.get("statusMessage"))
        if not status or wire.scalar(body.get("idMessage")) not in {"", message_id}:
            return []
        # getMessage tells when the message was written, not when it got its status.
        report = self._report(status, message_id, _phone(wire.ident(asked.get("chatId"))), "", None)
        return [_with_ref(report, call.refs[0] if call.refs else "")]

    def _report(self, status: str, message_id: str, phone: str, description: str, at: Any) -> StatusReport:
        failure, reason = FAILED_STATUSES.get(status, (None, None))
        if status == "failed" and "system" in description.lower():
            failure, reason = FailureClass.TRANSIENT, None
        return StatusReport(
            event_key=f"{message_id}:{status}",
            raw=status,
            provider_message_id=message_id,
            address=phone,
            milestone=MILESTONES.get(status),
            failure=failure,
            reason=reason,
            detail=wire.scrub(f"{status}: {description}" if description else status, self._secrets),
            at=wire.moment(at),
        )

    def verify_callback(self, request: CallbackRequest) -> None:
        given = request.headers.get("authorization", "")
        for scheme in ("Bearer ", "Basic "):
            given = given.removeprefix(scheme)
        if not wire.same(given.strip(), self.callback_secret):
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """One webhook, or the {receiptId, body} of receiveNotification."""
        body = wire.json_object(request.body)
        if body is None:
            raise ValueError("not a JSON object")
        if "typeWebhook" not in body and isinstance(body.get("body"), dict):
            body = body["body"]
        kind = wire.scrub(wire.scalar(body.get("typeWebhook")), self._secrets)
        if not kind:
            raise ValueError("no typeWebhook")
        if kind == "outgoingMessageStatus":
            return self._read_status(body)
        if kind == "incomingMessageReceived":
            return self._read_inbound(body)
        if kind in {"outgoingMessageReceived", "outgoingAPIMessageReceived"}:
            return []  # copies of what we sent: nothing we do not know
        at = wire.moment(body.get("timestamp"))
        stamp = wire.ident(body.get("timestamp"))
        if kind == "stateInstanceChanged":
            state = wire.scrub(wire.scalar(body.get("stateInstance")), self._secrets)
            bad = state in STATES and not STATES[state][0]
            return [
                StatusReport(
                    event_key=f"state:{state}:{stamp}",
                    raw=f"stateInstance {state}",
                    failure=FailureClass.AUTH if bad else None,
                    detail=STATES[state][1] if bad else "",
                    at=at,
                )
            ]
        if kind == "quotaExceeded":
            return [StatusReport(event_key=f"quota:{stamp}", raw=kind, failure=FailureClass.BALANCE, at=at)]
        return [StatusReport(event_key=f"{kind}:{stamp}", raw=kind, at=at)]

    def _read_status(self, body: dict[str, Any]) -> list[CallbackItem]:
        message_id, status = wire.ident(body.get("idMessage")), wire.ident(body.get("status"))
        if not message_id or not status:
            raise ValueError("a status without a message")
        if body.get("sendByApi") is False:
            return []  # somebody wrote by hand on the phone of this account
        phone = _phone(wire.ident(body.get("chatId")))
        report = self._report(
            wire.scrub(status, self._secrets),
            message_id,
            phone,
            wire.scalar(body.get("description")),
            body.get("timestamp"),
        )
        if report.reason is Reason.NOT_REGISTERED and phone:
            change = AddressChange(phone, AddressState.NOT_REGISTERED, f"{report.event_key}:address", at=report.at)
            return [report, change]
        return [report]

    def _read_inbound(self, body: dict[str, Any]) -> list[CallbackItem]:
        message_id = wire.ident(body.get("idMessage"))
        chat = wire.ident(wire.get_dict(body, "senderData").get("chatId"))
        if not message_id or not chat:
            raise ValueError("an incoming message without a sender")
        phone = _phone(chat)
        data = wire.get_dict(body, "messageData")
        if not phone or wire.scalar(data.get("typeMessage")) == "reactionMessage":
            return []  # a group, or a smiley under a message: nobody answered us
        quoted = wire.ident(wire.get_dict(data, "quotedMessage").get("stanzaId"))
        return [
            Inbound(
                event_key=f"in:{message_id}",
                address=phone,
                text=_text(data),
                in_reply_to=quoted,
                at=wire.moment(body.get("timestamp")),
            )
        ]

    # --- the account and its addresses

    def build_check(self, addresses: Sequence[str]) -> list[Call]:
        url = self._url("checkWhatsapp")
        return [
            HttpCall("POST", url, json={"phoneNumber": int(digits)}, refs=(address,))
            for address in addresses
            if (digits := address.removeprefix("+")).isascii() and digits.isdigit() and len(digits) < 20
        ]

    def read_check(self, call: Call, answer: Answer) -> list[AddressChange]:
        """Only an explicit yes or no counts: "instance not authorized" also comes with HTTP 200 (correction A2), and
        taking that for a no would write off WhatsApp for everybody."""
        if answer.no_answer is not None or answer.truncated or not isinstance(call, HttpCall):
            return []
        address = f"+{wire.scalar(wire.get_dict(call.json).get('phoneNumber'))}"
        body = wire.get_dict(wire.parse_json(answer.body))
        if answer.status == 400 and b"bad phone number" in answer.body[:4096].lower():
            return [AddressChange(address, AddressState.INVALID)]
        exists = body.get("existsWhatsapp")
        if answer.status != 200 or not isinstance(exists, bool):
            return []
        state = AddressState.REACHABLE if exists else AddressState.NOT_REGISTERED
        return [AddressChange(address, state, resolved=wire.ident(body.get("chatId")) if exists else "")]

    def build_recall(self, message: SentMessage) -> Call | None:
        if not message.provider_message_id:
            return None
        payload = {"chatId": _chat_id(message.address), "idMessage": message.provider_message_id}
        return HttpCall("POST", self._url("deleteMessage"), json=payload, refs=(message.ref,))

    def read_recall(self, call: Call, answer: Answer) -> bool:
        return answer.no_answer is None and answer.status == 200 and not _says_no(answer.body)

    def build_callback_setup(self, url: str) -> Call | None:
        """Switches the receipts on. The instance restarts and is away for up to five minutes."""
        settings = {
            "webhookUrl": url,
            "webhookUrlToken": self.callback_secret,
            "outgoingWebhook": "yes",
            "outgoingAPIMessageWebhook": "yes",
            "outgoingMessageWebhook": "yes",
            "incomingWebhook": "yes",
            "stateWebhook": "yes",
        }
        return HttpCall("POST", self._url("setSettings"), json=settings)

    def read_callback_setup(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is None and answer.status == 200 and not _says_no(answer.body):
            return AccountReport(
                ok=True,
                message=N_("Receipts are switched on. The instance restarts now: this takes up to five minutes."),
            )
        return self._trouble(answer)

    def build_self_test(self) -> list[Call]:
        return [HttpCall("GET", self._url("getStateInstance"))]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        state = wire.scalar(wire.get_dict(wire.parse_json(answer.body)).get("stateInstance"))
        if answer.no_answer is not None or answer.status != 200 or not state:
            return self._trouble(answer)
        may_send, message = STATES.get(
            state, (False, N_("The instance is in an unknown state: %(state)s. Look into the console."))
        )
        return AccountReport(
            ok=may_send,
            message=message,
            params={"state": wire.scrub(state, self._secrets)},
            failure=None if may_send else FailureClass.TRANSIENT if state == "starting" else FailureClass.AUTH,
        )

    def _trouble(self, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return AccountReport(
                ok=False,
                message=N_("GREEN-API does not answer: %(detail)s. Check the network of this server, then try again."),
                params={"detail": answer.detail},
                failure=FailureClass.TRANSIENT,
            )
        failure, _ = self._error(answer)
        message = {
            FailureClass.AUTH: N_(
                "GREEN-API refuses the instance. Check its number, its token and the address of the API in the console."
            ),
            FailureClass.BALANCE: N_("The tariff of this instance is used up or not paid. Pay for it in the console."),
            FailureClass.RATE_LIMITED: N_("GREEN-API asks us to slow down. Try again in a minute."),
            FailureClass.TRANSIENT: N_("The instance is starting. Try again in five minutes."),
        }.get(failure, N_("GREEN-API answers something unexpected: %(detail)s. Check the address of the API."))
        detail = f"HTTP {answer.status} {wire.words(answer.body, self._secrets)}"
        return AccountReport(ok=False, message=message, params={"detail": detail}, failure=failure)


def _says_no(body: bytes) -> bool:
    """The {"status": false, "reason": ...} that comes with HTTP 200 (correction A2)."""
    return wire.get_dict(wire.parse_json(body)).get("status") is False


def _chat_id(phone: str) -> str:
    return f"{phone.removeprefix('+')}@c.us"


def _phone(chat_id: str) -> str:
    """+79... of a personal chat; "" for a group or anything else."""
    digits = chat_id.removesuffix("@c.us")
    return f"+{digits}" if digits != chat_id and digits.isascii() and digits.isdigit() else ""


def _text(data: dict[str, Any]) -> str:
    """What the person wrote: the body, the words of a quoting message, a caption; "" for a voice note or a sticker."""
    for part, name in (
        ("textMessageData", "textMessage"),
        ("extendedTextMessageData", "text"),
        ("fileMessageData", "caption"),
        ("buttonsResponseMessage", "selectedButtonText"),
        ("templateButtonReplyMessage", "selectedDisplayText"),
        ("interactiveButtonsResponse", "selectedDisplayText"),
    ):
        text = wire.prose(wire.get_dict(data, part).get(name))
        if text:
            return text
    return ""


def _with_ref(report: StatusReport, ref: str) -> StatusReport:
    """The report of a poll: we know which message we asked about."""
    return StatusReport(
        event_key=report.event_key,
        raw=report.raw,
        ref=ref,
        provider_message_id=report.provider_message_id,
        address=report.address,
        milestone=report.milestone,
        failure=report.failure,
        reason=report.reason,
        detail=report.detail,
        at=report.at,
    )
