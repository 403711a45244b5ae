"""What all transports of Wazzup24 share: one account, one key, one wire (API v3) over WhatsApp, Telegram, MAX and others.

Sources: wazzup24.ru/help/api-ru (sending, webhooks-2, common errors, channels) as read in our fact sheet of 2026-11-22,
section 5; corrections A18-A21 and C; `contact.phone` of Telegram in the same webhook page. Knows no transport: what
differs is in each transport's own file.

Idempotent for 60 seconds only (`crmMessageId`): our repeats come when the core decides, which may be later, so this wire
promises nothing (no idempotent_send) and an answer that was lost stays an unknown outcome. A refusal that says "I have
this crmMessageId already", in either spelling, is an acceptance without an id.

One webhook address per key: all channels of one Wazzup account tell the one that was connected last, so what comes in names
the channel it is about (or a message of it), and the engine hands it to that one (Provider.callback_group).

Wazzup signs nothing it sends to an account with a plain key. The secret is in the path of the address, and again in its
query as a key made from it.

Unverified, and how we live with it:
* which transports tell `delivered` and `read`: each transport's file, with the owner's switches.
* whether only one address per key is possible: assumed, and harmless if it is not so.
* where messages can be deleted (DELETE /v3/message): off unless the owner has tried it.
* whether Wazzup keeps messages while its channel is offline: the channel's state is asked once a minute.
* whether our own messages come back as echoes: echoes are nobody's answer and are not read.
* `quotedMessage.messageId` as the id of the message answered: used for matching when it is there.
* buttons (correction A18): not offered. `dateTime` without a zone (A21): the moment of receipt counts.
* whether 5xx and UNKNOWN_ERROR ever mean "not sent": treated as unknown outcome.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from cascade.vocabulary import AddressKind, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    Accepted,
    AccountReport,
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
class WazzupConfig:
    api_key: str = secret(N_("API key"), N_("Cabinet: Integration with CRM, API, Connect."))
    channel_id: str = option(
        N_("Channel number"),
        N_("channelId. Leave empty and press “Check the connection”: the answer lists the channels of your account."),
        default="",
    )
    recall_by_delete: bool = option(
        N_("Take messages back by deleting them"),
        N_("Wazzup can do it for some messengers only. Try it with a message to yourself first."),
        default=False,
        rare=True,
    )


@dataclass(frozen=True, slots=True)
class WazzupReceiptsConfig(WazzupConfig):
    tells_delivered: bool = option(
        N_("Reports “delivered”"),
        N_(
            "Switch on after a test message to yourself whose report “delivered” came in: Wazzup does not say for which "
            "messengers it does."
        ),
        default=False,
    )
    tells_read: bool = option(
        N_("Reports “read”"),
        N_("Switch off if no report “read” comes after a test message to yourself: chains must not wait for it then."),
        default=True,
    )


_REPORTS: Final = {
    Milestone.ACCEPTED: How.ANSWER,
    Milestone.SENT: How.CALLBACK,
    Milestone.DELIVERED: How.CALLBACK,
    Milestone.READ: How.CALLBACK,
    Milestone.CLICKED: How.LINK,
    Milestone.REPLIED: How.CALLBACK,
}

#: What all transports can do that are written to by phone.
CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports=_REPORTS,
    poll_batch=0,
    takes_while_offline=True,
    default_rate=2.0,  # an ordinary account: its messenger blocks who writes faster. The key's limit is 100 a second.
    callback_set_by_hand=False,
)
#: Where nobody says which receipts come: `delivered` is not promised.
DOUBTFUL: Final = replace(
    CAPABILITIES, reports={mile: how for mile, how in _REPORTS.items() if mile is not Milestone.DELIVERED}
)

MILESTONES: Final = {"sent": Milestone.SENT, "delivered": Milestone.DELIVERED, "read": Milestone.READ}

_GONE: Final = FailureClass.RECIPIENT_PERMANENT
_TEXT: Final = FailureClass.MESSAGE_PERMANENT
#: Code of an error, upper-cased -> what it means.
ERRORS: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "BAD_CONTACT": (_GONE, Reason.NOT_REGISTERED),
    "CHAT_NO_ACCESS": (_GONE, Reason.RECIPIENT_REFUSED),
    "MESSAGES_ABNORMAL_SEND": (_GONE, Reason.RECIPIENT_REFUSED),
    # A channel and a chatType that do not belong together: our settings, the same for everybody (correction A20).
    "MESSAGES_INVALID_CONTACT_TYPE": (FailureClass.AUTH, None),
    "WRONG_TRANSPORT": (FailureClass.AUTH, None),
    # A template is wanted. Of the text and not of the person: else a whole base would go on to a dearer channel unseen.
    "24_HOURS_EXCEEDED": (_TEXT, Reason.MESSAGE_REFUSED),
    "7_DAYS_EXCEEDED": (_TEXT, Reason.MESSAGE_REFUSED),
    "MESSAGE_TEXT_TOO_LONG": (_TEXT, Reason.MESSAGE_REFUSED),
    "TOO_LONG_TEXT": (_TEXT, Reason.MESSAGE_REFUSED),
    "MESSAGE_NOTHING_TO_SEND": (_TEXT, Reason.MESSAGE_REFUSED),
    "INVALID_MESSAGE_DATA": (_TEXT, Reason.MESSAGE_REFUSED),
    "VALIDATION_ERROR": (_TEXT, Reason.MESSAGE_REFUSED),
    "TEMPLATE_REJECTED": (_TEXT, Reason.MESSAGE_REFUSED),
    "MESSAGES_IS_SPAM": (_TEXT, Reason.MESSAGE_REFUSED),
    "SPAM": (_TEXT, Reason.MESSAGE_REFUSED),
    "BAD_LINK": (_TEXT, Reason.MESSAGE_REFUSED),
    "CHANNEL_NOT_FOUND": (FailureClass.AUTH, None),
    "CHANNEL_BLOCKED": (FailureClass.AUTH, None),
    "CHANNEL_WAPI_REJECTED": (FailureClass.AUTH, None),
    "MESSAGES_NOT_TEXT_FIRST": (FailureClass.AUTH, None),
    "CHANNEL_NO_MONEY": (FailureClass.BALANCE, None),
    "BALANCE_IS_EMPTY": (FailureClass.BALANCE, None),
    "NOTENOUGHMONEY": (FailureClass.BALANCE, None),
    "CHANNEL_LIMIT_EXCEEDED": (FailureClass.BALANCE, None),
    "MESSAGE_CHANNEL_UNAVAILABLE": (FailureClass.TRANSIENT, None),
    "MESSAGES_CAN_NOT_ADD": (FailureClass.TRANSIENT, None),
}
#: Beginnings and middles of families of codes, where ERRORS has none.
_FAMILIES: Final = ("MESSAGES_TOO_LONG_", "_CONTENT_")
#: “The first one was accepted”, in both spellings (correction A20).
REPEATED: Final = frozenset({"REPEATED_CRM_MESSAGE_ID", "REPEATEDCRMMESSAGEID"})
#: Fields of a message that come from our settings and not from the person or the text (correction A20).
_OURS: Final = frozenset({"channelId", "chatType"})

_AUTH: Final = FailureClass.AUTH
#: state of a channel -> (what it is a failure of; None: it works, what the owner should do).
STATES: Final[dict[str, tuple[FailureClass | None, str]]] = {
    "active": (None, N_("The channel is connected to %(messenger)s.")),
    "init": (FailureClass.TRANSIENT, N_("The channel is starting. Try again in a few minutes.")),
    "disabled": (_AUTH, N_("The channel is switched off in Wazzup. Switch it on there.")),
    "phoneUnavailable": (
        _AUTH,
        N_("The phone of this channel is offline. Switch it on and connect it to the internet."),
    ),
    "qr": (_AUTH, N_("The channel is logged out. Open it in Wazzup and scan the QR code again.")),
    "qridle": (_AUTH, N_("The channel is logged out. Open it in Wazzup and scan the QR code again.")),
    "openElsewhere": (_AUTH, N_("The account is used somewhere else. Open the channel in Wazzup and log in again.")),
    "notEnoughMoney": (FailureClass.BALANCE, N_("The channel is not paid. Pay for it in Wazzup.")),
    "foreignphone": (_AUTH, N_("The QR code was scanned with another phone. Scan it with the phone of this channel.")),
    "unauthorized": (_AUTH, N_("The channel is logged out. Open it in Wazzup and log in again.")),
    "waitForPassword": (_AUTH, N_("The channel waits for the two-step password. Enter it in Wazzup.")),
    "waitForCode": (_AUTH, N_("The channel waits for a code. Enter it in Wazzup.")),
    "onModeration": (_AUTH, N_("The channel is being checked by the messenger. Wait for the end of it.")),
    "rejected": (_AUTH, N_("The messenger has rejected this channel. Ask the support of Wazzup.")),
    "blocked": (_AUTH, N_("The messenger has blocked this account. Nothing can be sent from it.")),
}
_UNKNOWN_STATE: Final = N_("The channel is in an unknown state: %(state)s. Look into the cabinet of Wazzup.")


class Wazzup(Provider):
    """One channel of a Wazzup account; subclasses name the messenger and how it calls a person."""

    base_url: ClassVar[str] = "https://api.wazzup24.com"
    messenger: ClassVar[str]  #: as people call it
    chat_type: ClassVar[str]
    #: `transport` words of a channel that this adapter can send through.
    transports: ClassVar[frozenset[str]]
    unofficial: ClassVar[bool] = True
    price_habit: ClassVar[str] = N_("A subscription for each channel")
    Config: ClassVar[type] = WazzupConfig

    config: WazzupConfig

    def __init__(self, config: Any, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (self.config.api_key, callback_secret, self._key())
        self._headers = {"Authorization": f"Bearer {self.config.api_key}"}
        self.account_name = self.config.channel_id
        self.callback_group = f"wazzup:{hmac.new(self.config.api_key.encode(), b'group', 'sha256').hexdigest()}"
        reports = dict(self.capabilities.reports)
        if isinstance(self.config, WazzupReceiptsConfig):
            told = {Milestone.DELIVERED: self.config.tells_delivered, Milestone.READ: self.config.tells_read}
            reports = {mile: how for mile, how in _REPORTS.items() if told.get(mile, True)}
        self.milestones: Mapping[str, Milestone] = {
            # What the owner has not seen come counts as sent when it comes: nothing is promised by surprise.
            word: mile if mile in reports else Milestone.SENT
            for word, mile in MILESTONES.items()
        }
        self.capabilities = replace(self.capabilities, reports=reports, recall=self.config.recall_by_delete)

    def recipient(self, address: str) -> dict[str, str]:
        """The fields that name a person."""
        return {"chatId": address.removeprefix("+")}

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            HttpCall(
                "POST",
                f"{self.base}/v3/message",
                headers=self._headers,
                json={
                    "channelId": self.config.channel_id,
                    "chatType": self.chat_type,
                    **self.recipient(message.address),
                    "text": message.text,
                    "crmMessageId": message.ref,
                },
                refs=(message.ref,),
            )
            for message in messages
        ]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        message_id = wire.ident(body.get("messageId"))
        if answer.status in {200, 201} and message_id:
            found = self._found(body)
            return [Accepted(ref, message_id, resolved=found) for ref in call.refs]
        if answer.status == 400 and _code(body) in REPEATED:
            return [Accepted(ref, "") for ref in call.refs]
        failure, reason = self._error(answer.status, body) or (wire.by_http_status(answer), None)
        wait = wire.retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, self._words(answer, body), reason=reason, wait=wait)

    def _found(self, body: Mapping[str, Any]) -> str:
        """The channel's own id for the phone written to, where people write back from such."""
        return wire.ident(body.get("chatId")) if self.capabilities.learns_id else ""

    def _error(self, status: int, body: Mapping[str, Any]) -> tuple[FailureClass, Reason | None] | None:
        """What an error object means; None where its code says nothing to us."""
        if status in {401, 403}:
            return FailureClass.AUTH, None
        code = _code(body)
        fields = wire.get_dict(body, "data").get("fields")
        if code == "INVALID_MESSAGE_DATA" and isinstance(fields, list):
            if _OURS & {field for field in fields if isinstance(field, str)}:
                return FailureClass.AUTH, None
            if {"chatId", "phone"} & {field for field in fields if isinstance(field, str)}:
                return _GONE, Reason.RECIPIENT_REFUSED
        if code in ERRORS:
            return ERRORS[code]
        if any(part in code for part in _FAMILIES):
            return _TEXT, Reason.MESSAGE_REFUSED
        return None

    def _words(self, answer: Answer, body: Mapping[str, Any]) -> str:
        said = f"{wire.scalar(body.get('error'))} {wire.scalar(body.get('description'))}".strip()
        text = said or wire.words(answer.body, self._secrets)
        return wire.scrub(f"HTTP {answer.status}: {text}", self._secrets)

    # --- receipts

    def _key(self) -> str:
        """What the query of our address carries."""
        return hmac.new(self.callback_secret.encode(), b"wazzup", "sha256").hexdigest()[:32]

    def verify_callback(self, request: CallbackRequest) -> None:
        if not self.callback_secret or not wire.same(request.query.get("key", ""), self._key()):
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """One webhook: statuses, messages and states of channels, of all channels of the account, in this order."""
        body = wire.json_object(request.body)
        if not body:
            raise ValueError("not a callback of Wazzup")
        items: list[CallbackItem] = []
        for one in _objects(body, "statuses"):
            items += self._read_status(one)
        for one in _objects(body, "messages"):
            items += self._read_message(one)
        for one in _objects(body, "channelsUpdates"):
            items += self._read_state(one)
        return items

    def _read_status(self, one: Mapping[str, Any]) -> list[CallbackItem]:
        message_id, word = wire.ident(one.get("messageId")), wire.scrub(wire.ident(one.get("status")), self._secrets)
        if not message_id or not word or word in {"edited", "inbound"}:
            return []
        failure: FailureClass | None = None
        reason: Reason | None = None
        detail = word
        if word == "error":
            told = wire.get_dict(one, "error")
            failure, reason = self._error(0, told) or (_GONE, Reason.RECIPIENT_REFUSED)
            detail = wire.scrub(
                f"{_code(told) or word} {wire.scalar(told.get('description') or told.get('message'))}", self._secrets
            )
        return [
            StatusReport(
                event_key=f"{message_id}:{word}",
                raw=word,
                provider_message_id=message_id,
                milestone=self.milestones.get(word),
                failure=failure,
                reason=reason,
                detail=detail,
                at=wire.iso_moment(one.get("timestamp")),
            )
        ]

    def _read_message(self, one: Mapping[str, Any]) -> list[CallbackItem]:
        message_id, chat = wire.ident(one.get("messageId")), wire.ident(one.get("chatId"))
        chat_type = wire.scalar(one.get("chatType"))
        if not message_id or not chat or chat_type.endswith("group"):
            return []
        # An echo is the owner's own writing; a reaction or a sticker comes with a long text of Wazzup's (correction A21).
        if one.get("isEcho") is not False or one.get("isDeleted") is True or one.get("type") == "unsupported":
            return []
        return [
            Inbound(
                event_key=f"in:{message_id}",
                address=_address(chat_type, chat, one),
                text=wire.prose(one.get("text")),
                in_reply_to=wire.ident(wire.get_dict(one, "quotedMessage").get("messageId")),
                at=wire.iso_moment(one.get("dateTime")),
                account=wire.ident(one.get("channelId")),
            )
        ]

    def _read_state(self, one: Mapping[str, Any]) -> list[CallbackItem]:
        channel, state = wire.ident(one.get("channelId")), wire.scrub(wire.ident(one.get("state")), self._secrets)
        if not channel or not state:
            return []
        failure, words = STATES.get(state, (None, ""))
        bad = failure in {FailureClass.AUTH, FailureClass.BALANCE}
        at = one.get("timestamp")
        return [
            StatusReport(
                event_key=f"state:{channel}:{state}:{wire.ident(at)}",
                raw=f"channel is {state}",
                failure=failure if bad else None,
                detail=words if bad else "",
                at=wire.iso_moment(at) or wire.moment(at),
                account=channel,
            )
        ]

    # --- the account

    def build_recall(self, message: SentMessage) -> Call | None:
        if not message.provider_message_id or not self.capabilities.recall:
            return None
        url = f"{self.base}/v3/message/{message.provider_message_id}"
        return HttpCall("DELETE", url, headers=self._headers, refs=(message.ref,))

    def read_recall(self, call: Call, answer: Answer) -> bool:
        return (
            answer.no_answer is None
            and answer.status in {200, 204}
            and not _code(wire.get_dict(wire.parse_json(answer.body)))
        )

    def build_callback_setup(self, url: str) -> Call | None:
        """Wazzup posts {"test": true} to the address before it answers this."""
        joint = "&" if "?" in url else "?"
        settings = {
            "webhooksUri": f"{url}{joint}{urlencode({'key': self._key()})}",
            "subscriptions": {"messagesAndStatuses": True, "channelsUpdates": True},
        }
        return HttpCall("PATCH", f"{self.base}/v3/webhooks", headers=self._headers, json=settings)

    def read_callback_setup(self, call: Call, answer: Answer) -> AccountReport:
        if (
            answer.no_answer is None
            and answer.status in {200, 204}
            and not _code(wire.get_dict(wire.parse_json(answer.body)))
        ):
            return AccountReport(
                ok=True,
                message=N_(
                    "Receipts of all channels of this Wazzup account come here now. If another program received them, it "
                    "does not any more."
                ),
            )
        return self._trouble(answer)

    def build_self_test(self) -> list[Call]:
        return [HttpCall("GET", f"{self.base}/v3/channels", headers=self._headers)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        found = wire.parse_json(answer.body)
        if not wire.is_whole(answer) or not isinstance(found, list):
            return self._trouble(answer)
        channels = [one for one in found if isinstance(one, dict)]
        mine = next((one for one in channels if self._is_mine(one)), None)
        if mine is None:
            listed = "; ".join(
                f"{wire.scalar(one.get('transport'))} {wire.scalar(one.get('plainId'))}: {wire.ident(one.get('channelId'))}"
                for one in channels[:10]
            )
            return AccountReport(
                ok=False,
                message=N_("Choose the channel and copy its number into the field. Your account has: %(channels)s")
                if listed
                else N_("This Wazzup account has no channels yet. Connect the messenger in its cabinet first."),
                params={"channels": wire.scrub(listed, self._secrets)},
                failure=FailureClass.AUTH,
            )
        return self._state_report(mine)

    def _is_mine(self, one: Mapping[str, Any]) -> bool:
        return bool(self.config.channel_id) and wire.ident(one.get("channelId")) == self.config.channel_id

    def _state_report(self, channel: Mapping[str, Any]) -> AccountReport:
        transport = wire.scrub(wire.ident(channel.get("transport")), self._secrets)
        state = wire.scrub(wire.ident(channel.get("state")), self._secrets)
        params = {"state": state, "messenger": self.messenger, "transport": transport}
        if transport not in self.transports:
            message = N_("This channel is “%(transport)s”, not %(messenger)s by phone. Choose another one.")
            return AccountReport(ok=False, message=message, params=params, failure=FailureClass.AUTH)
        failure, message = STATES.get(state, (FailureClass.AUTH, _UNKNOWN_STATE))
        return AccountReport(ok=failure is None, message=message, params=params, failure=failure)

    def _trouble(self, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.get_dict(wire.parse_json(answer.body))
        failure, _ = self._error(answer.status, body) or (wire.by_http_status(answer), None)
        return wire.trouble_report(answer, failure, self._secrets)


def _code(body: Mapping[str, Any]) -> str:
    """The error's code, whichever key and case it came in (correction A19)."""
    return wire.ident(body.get("error") or body.get("code")).upper()


def _objects(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = body.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _address(chat_type: str, chat: str, message: Mapping[str, Any]) -> str:
    """Who wrote: a phone with its plus where the messenger tells one, else the messenger's own id."""
    phone = chat if chat_type in {"whatsapp", "viber"} else wire.ident(wire.get_dict(message, "contact").get("phone"))
    digits = phone.removeprefix("+")
    return f"+{digits}" if digits.isascii() and digits.isdigit() and 5 < len(digits) < 16 else chat
