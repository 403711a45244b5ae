"""Telegram Gateway: one-time codes to a phone, from Telegram's own verified account. Nothing but digits.

Sources: core.telegram.org/gateway/api (changes of 2025-02-26), gateway/verification-tutorial, pytggateway 2.0.0,
telegram-gateway-verification 0.1.1; names of errors: apifonica/tg-gateway-go. As read in our fact sheet of 2026-11-22,
section 2.

A message takes two requests: may this phone get one (checkSendAbility, which is charged), then the code under the
request_id that was answered, for which the charge counts. The code's life is the wait of the step: what is not
delivered by then is not delivered at all, and refunded. `payload` carries our reference, so a receipt finds its
message even when the answer was lost.

Unverified, and how we live with it:
* names of errors are third-party. "FLOOD_WAIT" may be followed by a number: it is taken for seconds.
* the formula of the callback's signature is one library's: hex HMAC-SHA256 of timestamp, "\\n" and body, keyed with
  SHA256 of the token. Nobody has a clock here: an old callback repeated is known by what it says.
* whether an answer that repeats `payload` does so in callbacks and questions alike: the request_id is read first.
* revokeVerificationMessage answers that the request was taken, not that the message is gone: not counted on.
* whether the token is looked at before the request_id: the connection is checked by asking for the status of a
  request nobody made, which costs nothing. Any error but one of the token is taken for "the token is good".
* costs are in the account's own money, which the answers do not name: only a refund is read.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
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
    Failed,
    How,
    HttpCall,
    OutgoingMessage,
    Provider,
    SendResult,
    SentMessage,
    StatusReport,
    TtlRange,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class TelegramGatewayConfig:
    token: str = secret(N_("Gateway token"), N_("gateway.telegram.org, Account, API. It is not the token of a bot."))
    sender_username: str = option(
        N_("Channel the code comes from"),
        N_("A verified channel of yours, without @. Empty: Telegram itself."),
        default="",
    )


LIFE: Final = TtlRange(timedelta(seconds=30), timedelta(hours=1))

CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.BOTH,
        Milestone.DELIVERED: How.BOTH,
        Milestone.READ: How.BOTH,
    },
    poll_batch=1,
    ttl=LIFE,
    max_text=1000,  # of the text nobody sends: only the digits leave
    default_rate=10.0,
    charged_on=ChargedOn.DELIVERED,
    callback_per_message=True,
    codes_only=True,
)

#: delivery_status.status -> milestone.
MILESTONES: Final[dict[str, Milestone]] = {
    "sent": Milestone.SENT,
    "delivered": Milestone.DELIVERED,
    "read": Milestone.READ,
}
#: delivery_status.status that ends a message badly -> what it means.
FAILED_STATUSES: Final[dict[str, tuple[FailureClass, Reason]]] = {
    "expired": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME),
    "revoked": (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
}

#: `error` -> what it means.
ERRORS: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "PHONE_NUMBER_NOT_FOUND": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    "PHONE_NUMBER_NOT_AVAILABLE": (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    "PHONE_NUMBER_INVALID": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    "CODE_INVALID": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    "CODE_LENGTH_INVALID": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    "TTL_INVALID": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    "PAYLOAD_INVALID": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    "CALLBACK_URL_INVALID": (FailureClass.AUTH, None),  # of this installation: everybody's trouble
    "ACCESS_TOKEN_INVALID": (FailureClass.AUTH, None),
    "ACCESS_TOKEN_REQUIRED": (FailureClass.AUTH, None),
    "BALANCE_NOT_ENOUGH": (FailureClass.BALANCE, None),
}
SENDER: Final = "SENDER_"  #: beginning of the errors about sender_username: the owner's setting
FLOOD: Final = "FLOOD_WAIT"
ALREADY: Final = "MESSAGE_ALREADY_SENT"

_SECONDS = re.compile(r"FLOOD_WAIT_?(\d{1,6})")


class TelegramGateway(Provider):
    slug: ClassVar[str] = "telegram_gateway"
    kind: ClassVar[ChannelKind] = ChannelKind.TELEGRAM
    title: ClassVar[str] = N_("Telegram Gateway (one-time codes)")
    base_url: ClassVar[str] = "https://gatewayapi.telegram.org"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = TelegramGatewayConfig

    config: TelegramGatewayConfig

    def __init__(self, config: TelegramGatewayConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.token, callback_secret)
        self._signing_key = hashlib.sha256(config.token.encode()).digest()

    def _ask(self, method: str, refs: tuple[str, ...] = (), **fields: str) -> HttpCall:
        form = {"access_token": self.config.token, **fields}
        return HttpCall("POST", f"{self.base}/{method}", form=form, refs=refs)

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        """The first of two requests. Raises ValueError for a message that is no code."""
        return [self._first(message) for message in messages]

    def _first(self, message: OutgoingMessage) -> Call:
        if not message.code:
            raise ValueError("Telegram Gateway carries one-time codes only")
        fields = {"phone_number": message.address, "code": message.code, "payload": message.ref}
        if message.ttl is not None:
            fields["ttl"] = str(int(LIFE.snap(message.ttl).total_seconds()))
        if self.config.sender_username:
            fields["sender_username"] = self.config.sender_username.removeprefix("@")
        if self.callback_url:
            fields["callback_url"] = self.callback_url
        form = {"access_token": self.config.token, "phone_number": message.address}
        return _Ability("POST", f"{self.base}/checkSendAbility", form=form, refs=(message.ref,), message=fields)

    def build_follow_up(self, call: Call, answer: Answer) -> Call | None:
        if not isinstance(call, _Ability) or not wire.is_whole(answer):
            return None
        body = wire.json_object(answer.body) or {}
        request_id = wire.ident(wire.get_dict(body, "result").get("request_id"))
        if body.get("ok") is not True or not request_id:
            return None
        return self._ask("sendVerificationMessage", call.refs, request_id=request_id, **call.message)

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        """Of the first request only a refusal is read: until the second one nothing is sent to anybody."""
        asked_only = isinstance(call, _Ability)
        lost = wire.not_answered(call, answer)
        if lost is not None:
            unsent = asked_only and not answer.untrusted
            return wire.failures(call, FailureClass.TRANSIENT, answer.detail or "no answer") if unsent else lost
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        request_id = wire.ident(wire.get_dict(body, "result").get("request_id"))
        if not asked_only and body.get("ok") is True and answer.status == 200 and request_id:
            return [Accepted(ref, request_id) for ref in call.refs]
        word = wire.scrub(wire.ident(body.get("error")), self._secrets)
        if word == ALREADY and isinstance(call, HttpCall) and call.form and call.form.get("request_id"):
            return [Accepted(ref, call.form["request_id"]) for ref in call.refs]
        failure, reason = _meaning(word)
        if failure is None:
            results = wire.by_status_results(call, answer, self._secrets)
            return [self._unsent(result) for result in results] if asked_only else results
        wait = _wait(word, answer) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, word, reason=reason, wait=wait)

    @staticmethod
    def _unsent(result: SendResult) -> SendResult:
        """What nobody understands was not sent all the same."""
        if isinstance(result, Failed) and result.failure is FailureClass.OUTCOME_UNKNOWN:
            return Failed(result.ref, FailureClass.TRANSIENT, detail=result.detail)
        return result

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        return [
            self._ask("checkVerificationStatus", (message.ref,), request_id=message.provider_message_id)
            for message in messages
            if message.provider_message_id
        ]

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        body = wire.json_object(answer.body) or {}
        if not wire.is_whole(answer) or body.get("ok") is not True:
            return []
        report = self._report(wire.get_dict(body, "result"), call.refs[0] if call.refs else "")
        return [report] if report is not None else []

    def verify_callback(self, request: CallbackRequest) -> None:
        moment = request.headers.get("x-request-timestamp", "")
        signed = moment.encode("utf-8", "replace") + b"\n" + request.body
        good = hmac.new(self._signing_key, signed, hashlib.sha256).hexdigest()
        given = request.headers.get("x-request-signature", "")
        if not self.callback_secret or not moment or not wire.same(given, good):
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        report = self._report(wire.json_object(request.body) or {}, "")
        if report is None:
            raise ValueError("not a status of a request")
        return [report]

    def _report(self, status: dict[str, Any], ref: str) -> StatusReport | None:
        """A RequestStatus; None for one without id or delivery status."""
        request_id, payload = wire.ident(status.get("request_id")), wire.ident(status.get("payload"))
        delivery = wire.get_dict(status, "delivery_status")
        word = wire.scrub(wire.ident(delivery.get("status")), self._secrets)
        if not request_id or not word:
            return None
        failure, reason = FAILED_STATUSES.get(word, (None, None))
        return StatusReport(
            event_key=f"{request_id}:{word}"[: wire.MAX_IDENT],
            raw=word,
            ref=ref or (payload if wire.OUR_REF.fullmatch(payload) else ""),
            provider_message_id=request_id,
            milestone=MILESTONES.get(word),
            failure=failure,
            reason=reason,
            at=wire.moment(delivery.get("updated_at")),
            cost=Decimal(0) if status.get("is_refunded") is True else None,
        )

    # --- the account

    def build_self_test(self) -> list[Call]:
        return [self._ask("checkVerificationStatus", request_id="0")]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        word = wire.scrub(wire.ident(body.get("error")), self._secrets)
        failure, _ = _meaning(word)
        if isinstance(body.get("ok"), bool) and (word or body["ok"]) and failure not in _OF_ACCOUNT:
            return AccountReport(ok=True, message=N_("Telegram Gateway answers and knows the token."))
        return wire.trouble_report(answer, failure or wire.by_http_status(answer), self._secrets)


@dataclass(frozen=True, slots=True)
class _Ability(HttpCall):
    """The first request, with the fields of the second."""

    message: dict[str, str] = field(default_factory=dict, repr=False)


_OF_ACCOUNT: Final = frozenset({FailureClass.AUTH, FailureClass.BALANCE, FailureClass.RATE_LIMITED})


def _meaning(word: str) -> tuple[FailureClass | None, Reason | None]:
    if word in ERRORS:
        return ERRORS[word]
    if word.startswith(SENDER):
        return FailureClass.AUTH, None
    if FLOOD in word:
        return FailureClass.RATE_LIMITED, None
    return None, None


def _wait(word: str, answer: Answer) -> timedelta | None:
    seconds = _SECONDS.search(word)
    return wire.retry_after(answer.headers, seconds[1] if seconds else None)
