"""What the three products of GREEN-API share: one wire over an ordinary account of WhatsApp, MAX or Telegram.

Sources: green-api.com/docs/api and /v3/docs/api, /telegram/docs/api (sendMessage, checkWhatsapp, checkAccount,
deleteMessage, getMessage, getStateInstance, setSettings, webhooks, common-errors) as read in our fact sheet of
2026-11-22, section 4; corrections A2-A5, A29-A31. Knows no messenger: what differs is in each product's own file.

The messengers' terms forbid automation: accounts get yellow cards and are blocked. The owner is told.

Unverified for all three, and how we live with it:
* `deleteMessage`: what it answers and its time window; HTTP 200 is taken as done. The person may have seen it.
* texts of a `failed` status that mean "system error": the word "system" only.
* `quotedMessage.stanzaId` as the id of the message replied to: used for matching when it is there.
* buttons: sent by some SDK methods, shown by nobody knows which clients: capability 0.
* whether 500 and 502 ever mean "not sent": treated as unknown outcome.
* accepted is not sent: GREEN-API queues, and keeps the queue for 24 h while the instance is logged out
  (takes_while_offline). What was taken in the minute before we noticed may arrive after the fallback.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    DIGITS,
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
    Failed,
    How,
    HttpCall,
    Inbound,
    OutgoingMessage,
    Provider,
    Pulled,
    SendResult,
    SentMessage,
    StatusReport,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class GreenConfig:
    id_instance: str = option(
        N_("Instance number"), N_("idInstance in the console, for example 1101000001."), shape=DIGITS
    )
    api_token: str = secret(N_("Instance token"), N_("apiTokenInstance in the console."))


@dataclass(frozen=True, slots=True)
class GreenByPhoneConfig(GreenConfig):
    delivered_is_device: bool = option(
        N_("Believe the word “delivered”"),
        N_(
            "GREEN-API concludes it by itself here: it may mean the messenger's server and not the person's phone. Off: "
            "such a message counts as sent, and chains wait until it is read. On: chains may wait for “delivered”."
        ),
        default=False,
    )
    check_pause_minutes: int = option(
        N_("Pause when the messenger limits checks, minutes"),
        N_("To whom it is not known yet nothing can be sent without a check; asking on would end in a longer ban."),
        default=10,
        rare=True,
    )


_REPORTS: Final = {
    Milestone.ACCEPTED: How.ANSWER,
    Milestone.SENT: How.BOTH,
    Milestone.DELIVERED: How.BOTH,
    Milestone.READ: How.BOTH,
    Milestone.CLICKED: How.LINK,
    Milestone.REPLIED: How.CALLBACK,
}

#: What all three can do.
CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports=_REPORTS,
    poll_batch=1,
    check=True,
    takes_while_offline=True,
    default_rate=2.0,  # the gateway's own queue sends one message each 0.5 s at best
    charged_on=ChargedOn.ACCEPTED,
    callback_set_by_hand=False,
    pull=True,
    pull_holds=True,
)
#: What the two can do that find people by phone, where the owner does not say that more is to be believed.
BY_PHONE: Final = replace(
    CAPABILITIES,
    resolves=True,
    reports={mile: how for mile, how in _REPORTS.items() if mile is not Milestone.DELIVERED},
)

#: status that ends a message badly -> what it means.
FAILED_STATUSES: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "noAccount": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    "failed": (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    "notInGroup": (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    "yellowCard": (FailureClass.AUTH, None),  # the messenger has suspended sending from this account
}

#: Words of an error text (any case) -> what they mean; the first that is found counts.
ERRORS: Final[tuple[tuple[str, FailureClass, Reason | None], ...]] = (
    ("in starting process", FailureClass.TRANSIENT, None),
    ("starting or not authorized", FailureClass.AUTH, None),
    ("account is expired", FailureClass.BALANCE, None),
    ("instance is deleted", FailureClass.AUTH, None),
    ("get contact info limit", FailureClass.RATE_LIMITED, None),
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
    "authorized": (True, N_("The instance is connected to %(messenger)s.")),
    "notAuthorized": (
        False,
        N_("The instance is logged out. Open the console and log in again: scan the QR code or enter the code."),
    ),
    "blocked": (False, N_("The messenger has blocked this account. Nothing can be sent from it.")),
    "starting": (False, N_("The instance is starting. Try again in five minutes.")),
    "sleepMode": (False, N_("The phone of this instance is offline. Switch it on and connect it to the internet.")),
    "yellowCard": (
        False,
        N_("The messenger has suspended sending (yellow card). Reboot the instance and send less."),
    ),
    "suspended": (
        False,
        N_("The messenger has suspended this account for a while. Send less, and only to who waits for it."),
    ),
    "pendingPassword": (False, N_("The instance waits for the two-step password. Enter it in the console.")),
}


class GreenApi(Provider):
    """A product of GREEN-API; subclasses name the messenger and how it calls a person."""

    base_url: ClassVar[str] = "https://api.green-api.com"
    messenger: ClassVar[str]  #: as people call it
    unofficial: ClassVar[bool] = True
    price_habit: ClassVar[str] = N_("A monthly fee per instance")
    milestones: Mapping[str, Milestone] = {
        "sent": Milestone.SENT,
        "delivered": Milestone.DELIVERED,
        "read": Milestone.READ,
    }

    config: GreenConfig

    def __init__(self, config: Any, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        # The token comes back in the body of errors (correction A3).
        self._secrets = (self.config.api_token, callback_secret)
        self._send_url = self._url("sendMessage")

    def _url(self, method: str) -> str:
        return f"{self.base}/waInstance{self.config.id_instance}/{method}/{self.config.api_token}"

    @abstractmethod
    def chat_of(self, address: str) -> str:
        """The chatId of a person's address. Raises ValueError for what is not one."""

    @abstractmethod
    def address_of(self, chat: str) -> str:
        """The address of a personal chat; "" for a group or anything else."""

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            HttpCall(
                "POST",
                self._send_url,
                json={"chatId": self.chat_of(message.address), "message": message.text},
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
                json={"chatId": self.chat_of(message.address), "idMessage": message.provider_message_id},
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
        report = self._report(status, message_id, self.address_of(wire.ident(asked.get("chatId"))), "", None)
        return [replace(report, ref=call.refs[0] if call.refs else "")]

    def _report(self, status: str, message_id: str, address: str, description: str, at: Any) -> StatusReport:
        failure, reason = FAILED_STATUSES.get(status, (None, None))
        if status == "failed" and "system" in description.lower():
            failure, reason = FailureClass.TRANSIENT, None
        return StatusReport(
            event_key=f"{message_id}:{status}",
            raw=status,
            provider_message_id=message_id,
            address=address,
            milestone=self.milestones.get(status),
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
            state = wire.scrub(wire.ident(body.get("stateInstance")), self._secrets)
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
        address = self.address_of(wire.ident(body.get("chatId")))
        report = self._report(
            wire.scrub(status, self._secrets),
            message_id,
            address,
            wire.scalar(body.get("description")),
            body.get("timestamp"),
        )
        if report.reason is Reason.NOT_REGISTERED and address:
            change = AddressChange(address, AddressState.NOT_REGISTERED, f"{report.event_key}:address", at=report.at)
            return [report, change]
        return [report]

    def _read_inbound(self, body: dict[str, Any]) -> list[CallbackItem]:
        message_id = wire.ident(body.get("idMessage"))
        chat = wire.ident(wire.get_dict(body, "senderData").get("chatId"))
        if not message_id or not chat:
            raise ValueError("an incoming message without a sender")
        address = self.address_of(chat)
        data = wire.get_dict(body, "messageData")
        if not address or wire.scalar(data.get("typeMessage")) == "reactionMessage":
            return []  # a group, or a smiley under a message: nobody answered us
        quoted = wire.ident(wire.get_dict(data, "quotedMessage").get("stanzaId"))
        return [
            Inbound(
                event_key=f"in:{message_id}",
                address=address,
                text=_text(data),
                in_reply_to=quoted,
                at=wire.moment(body.get("timestamp")),
            )
        ]

    # --- the account and its addresses

    def build_recall(self, message: SentMessage) -> Call | None:
        if not message.provider_message_id or not self.capabilities.recall:
            return None
        payload = {"chatId": self.chat_of(message.address), "idMessage": message.provider_message_id}
        return HttpCall("POST", self._url("deleteMessage"), json=payload, refs=(message.ref,))

    def read_recall(self, call: Call, answer: Answer) -> bool:
        return answer.no_answer is None and answer.status == 200 and not _says_no(answer.body)

    def build_callback_setup(self, url: str) -> Call | None:
        """Switches the receipts on. The instance restarts and is away for up to five minutes."""
        return self._settings(url, self.callback_secret)

    def _settings(self, url: str, secret: str) -> Call:
        settings = {
            "webhookUrl": url,
            "webhookUrlToken": secret,
            "outgoingWebhook": "yes",
            "outgoingAPIMessageWebhook": "yes",
            "outgoingMessageWebhook": "yes",
            "incomingWebhook": "yes",
            "stateWebhook": "yes",
        }
        return HttpCall("POST", self._url("setSettings"), json=settings)

    def build_pull(self, cursor: str) -> Call | None:
        """receiveNotification: the oldest one, again and again until it is deleted; kept for 24 hours."""
        return HttpCall("GET", self._url("receiveNotification"), query={"receiveTimeout": "5"})

    def read_pull(self, call: Call, answer: Answer) -> Pulled:
        """One notification, and its deletion. Nothing new is an empty body or null (correction A5)."""
        if not wire.is_whole(answer):
            return Pulled(trouble=self._trouble(answer))
        if answer.body.strip() in {b"", b"null"}:
            return Pulled()
        told = wire.get_dict(wire.parse_json(answer.body))
        number, body = wire.ident(told.get("receiptId")), told.get("body")
        if not number.isascii() or not number.isdigit() or not isinstance(body, dict):
            return Pulled(trouble=self._trouble(answer))
        done = HttpCall("DELETE", f"{self._url('deleteNotification')}/{number}")
        return Pulled(requests=(wire.as_callback(body),), acks=(done,), more=True)

    def build_pull_setup(self, url: str) -> Call | None:
        """Switches the receipts on and leaves them in the queue. The instance restarts, as for a callback address."""
        return self._settings("", "")

    def read_pull_setup(self, call: Call, answer: Answer) -> AccountReport:
        return self.read_callback_setup(call, answer)

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
            params={"state": wire.scrub(state, self._secrets), "messenger": self.messenger},
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


class GreenByPhone(GreenApi):
    """MAX and Telegram: a person is written to by an id, which checkAccount finds for a phone.

    Where it finds none nothing can be sent, so why it did not is told (read_unresolved): only an explicit "no" is about
    the person.
    """

    #: Beginnings of the numbers checkAccount takes; empty: all.
    prefixes: ClassVar[tuple[str, ...]] = ()
    milestones: Mapping[str, Milestone] = {**GreenApi.milestones, "delivered": Milestone.SENT}

    config: GreenByPhoneConfig

    def __init__(self, config: Any, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        if self.config.delivered_is_device:
            self.milestones = GreenApi.milestones
            self.capabilities = replace(self.capabilities, reports=_REPORTS)

    def problem(self) -> str:
        if not 1 <= self.config.check_pause_minutes <= 60:
            return N_("The pause after a limit of checks must be between 1 and 60 minutes.")
        return super().problem()

    def chat_of(self, address: str) -> str:
        if not _is_number(address):
            raise ValueError("a phone is not an address here: build_check() finds the id")
        return address

    def address_of(self, chat: str) -> str:
        return chat if _is_number(chat) else ""

    def _error(self, answer: Answer) -> tuple[FailureClass, Reason | None]:
        failure, reason = super()._error(answer)
        # A refused chatId is the id's trouble and not proof that the person is not there: only checkAccount says that.
        return failure, Reason.RECIPIENT_REFUSED if reason is Reason.NOT_REGISTERED else reason

    def build_check(self, addresses: Sequence[str]) -> list[Call]:
        """Phones in, one question each; none for numbers that are not taken. Without `force` (correction A29): GREEN-API
        keeps its answers, and asking the messenger again and again gets the account restricted."""
        url = self._url("checkAccount")
        return [
            HttpCall("POST", url, json={"phoneNumber": int(digits)}, refs=(address,))
            for address in addresses
            if _is_number(digits := address.removeprefix("+")) and digits.startswith(self.prefixes or "")
        ]

    def read_check(self, call: Call, answer: Answer) -> list[AddressChange]:
        """Only an explicit yes with an id, or an explicit no, counts (correction A2)."""
        if answer.no_answer is not None or answer.truncated or not isinstance(call, HttpCall):
            return []
        phone = f"+{wire.scalar(wire.get_dict(call.json).get('phoneNumber'))}"
        if says_bad_phone(answer):
            return [AddressChange(phone, AddressState.INVALID)]
        body = wire.get_dict(wire.parse_json(answer.body))
        exists, chat = body.get("exist"), self.address_of(wire.ident(body.get("chatId")))
        if answer.status != 200 or not isinstance(exists, bool) or (exists and not chat):
            return []
        state = AddressState.REACHABLE if exists else AddressState.NOT_REGISTERED
        return [AddressChange(phone, state, resolved=chat if exists else "")]

    def read_unresolved(self, call: Call, answer: Answer) -> Failed:
        """Trouble of the account as on a send; a limit of checks is a pause of the owner's length, because the
        messenger names none. Everything else: try again, nothing was sent."""
        ref = call.refs[0]
        (told,) = wire.not_answered(call, answer) or [Failed(ref, self._error(answer)[0])]
        failure = told.failure if isinstance(told, Failed) else FailureClass.TRANSIENT
        if failure not in {FailureClass.AUTH, FailureClass.BALANCE, FailureClass.RATE_LIMITED}:
            failure = FailureClass.TRANSIENT
        wait = None
        if failure is FailureClass.RATE_LIMITED:
            pause = timedelta(minutes=min(max(self.config.check_pause_minutes, 1), 60))
            wait = wire.retry_after(answer.headers) or (pause if answer.status == 200 else None)
        words = answer.detail or f"HTTP {answer.status}: {wire.words(answer.body, self._secrets)}"
        return Failed(ref, failure, detail=wire.scrub(f"checkAccount: {words}", self._secrets), retry_after=wait)


def says_bad_phone(answer: Answer) -> bool:
    """A check's word about the number itself."""
    return answer.status == 400 and b"bad phone number" in answer.body[:4096].lower()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _says_no(body: bytes) -> bool:
    """The {"status": false, "reason": ...} that comes with HTTP 200 (correction A2)."""
    return wire.get_dict(wire.parse_json(body)).get("status") is False


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
