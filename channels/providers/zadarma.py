"""Zadarma (and brands with its API, such as Novofon): a robot call by a callback into a scenario of the cloud PBX.

Sources: the official PHP class (zadarma/user-api-v1: request signing, request/callback, info/balance, info/timezone,
webhooks and what their signatures cover) and the Node client, as read in our fact sheet of 2026-11-22, sections 8.1 and
8.2; correction A32.

`request/callback` with `predicted` calls the person first and connects them to `from`, a scenario that plays a recording.
No text goes over this wire: everybody hears the same recording, and the message's text is only kept for our own story.

There is no call id in the answer. The webhook NOTIFY_OUT_END names the number and when the call began, and these two find
the message (StatusReport.began). A webhook's signature covers three fields and neither result nor duration: besides it
there are the secret address and, if the owner wishes, the addresses Zadarma calls from.

Unverified, and how we live with it:
* that a scenario as `from` with `predicted` plays to the person: from a comment in the class, untested.
* that the person's leg of such a callback is reported by NOTIFY_OUT_START and NOTIFY_OUT_END, and as `destination`.
* the time zone of `call_start`: the cabinet's, an option; the self-test compares it with info/timezone.
* how an answering machine is told: not at all; fewer seconds than `min_seconds` count as no answer.
* texts of errors: any refusal in their own words ends the step and, twenty in a row, pauses the campaign.
* the addresses webhooks come from: 185.45.152.42 is from the Node client; empty by default.
* pressed keys: come back only to a server that answers NOTIFY_START of every incoming call of the company. Not offered.
* limits: figures of X-RateLimit-* headers are unknown; HTTP 429 is obeyed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

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
    How,
    HttpCall,
    OutgoingMessage,
    Provider,
    SendResult,
    StatusReport,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class ZadarmaConfig:
    user_key: str = secret(N_("Key"), N_("Cabinet: Settings, Integrations and API, Keys and API."))
    api_secret: str = secret(N_("Secret"), N_("Shown beside the key, once."))
    scenario: str = option(
        N_("Scenario or extension"),
        N_("The number of the PBX scenario that plays your recording, as the cabinet shows it."),
    )
    sip: str = option(
        N_("Call from this SIP or extension"),
        N_("Decides which number the person sees. Empty: as the cabinet is set."),
        default="",
        rare=True,
    )
    min_seconds: int = option(
        N_("Heard when listened to, seconds"),
        N_("A shorter conversation counts as no answer: an answering machine also picks up."),
        default=5,
    )
    utc_offset: int = option(
        N_("Time zone of the cabinet, hours from UTC"),
        N_("Moscow is 3. Calls are recognised by number and time, so a wrong zone loses every report."),
        default=3,
    )
    extension: str = option(
        N_("Only calls of this extension are the robot's"),
        N_("Fill it in if colleagues call the same people from the same PBX. Empty: all outgoing calls count."),
        default="",
        rare=True,
    )
    sources: str = option(
        N_("Reports come only from these addresses"),
        N_("Addresses or networks separated by commas, as Zadarma's support names them. Empty: from anywhere."),
        default="",
        rare=True,
    )


_BAD_SOURCES: Final = N_(
    "The addresses that reports come from cannot be read. Write them like 185.45.152.42, 10.0.0.0/24."
)
_BAD_OFFSET: Final = N_("A time zone is from -12 to 14 hours away from UTC.")

CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={Milestone.ACCEPTED: How.ANSWER, Milestone.SENT: How.CALLBACK, Milestone.DELIVERED: How.CALLBACK},
    poll_batch=0,
    balance=True,
    max_text=4096,
    default_rate=1.0,
    charged_on=ChargedOn.DELIVERED,
)

_NO_ANSWER: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.NO_ANSWER)
_NO_NUMBER: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED)

#: disposition of NOTIFY_OUT_END that is not "answered" -> what it means.
DISPOSITIONS: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "busy": _NO_ANSWER,
    "cancel": _NO_ANSWER,
    "no answer": _NO_ANSWER,
    "failed": _NO_ANSWER,  # unless its status_code says more
    "unallocated number": _NO_NUMBER,
    "no money": (FailureClass.BALANCE, None),
    "no money, no limit": (FailureClass.BALANCE, None),
    "no limit": (FailureClass.RATE_LIMITED, None),
    "no day limit": (FailureClass.RATE_LIMITED, None),
    "line limit": (FailureClass.RATE_LIMITED, None),
}
#: status_code (Q.931) beside "failed" -> what it means.
CAUSES: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    1: _NO_NUMBER,
    28: _NO_NUMBER,
    34: (FailureClass.TRANSIENT, None),
    38: (FailureClass.TRANSIENT, None),
    41: (FailureClass.TRANSIENT, None),
    42: (FailureClass.TRANSIENT, None),
}

#: Webhook -> the fields its signature covers, in this order.
SIGNED: Final[dict[str, tuple[str, ...]]] = {
    "NOTIFY_START": ("caller_id", "called_did", "call_start"),
    "NOTIFY_INTERNAL": ("caller_id", "called_did", "call_start"),
    "NOTIFY_END": ("caller_id", "called_did", "call_start"),
    "NOTIFY_IVR": ("caller_id", "called_did", "call_start"),
    "NOTIFY_ANSWER": ("caller_id", "destination", "call_start"),
    "NOTIFY_OUT_START": ("internal", "destination", "call_start"),
    "NOTIFY_OUT_END": ("internal", "destination", "call_start"),
    "NOTIFY_RECORD": ("pbx_call_id", "call_id_with_rec"),
}
#: The only ones that speak of a call of ours.
OUR_EVENTS: Final = frozenset({"NOTIFY_OUT_START", "NOTIFY_OUT_END"})
#: The check of a callback address in the cabinet: what comes in this field has to be given back.
ECHO: Final = "zd_echo"
_ECHO_LENGTH: Final = 200

CALLBACK: Final = "/v1/request/callback/"
BALANCE: Final = "/v1/info/balance/"
TIMEZONE: Final = "/v1/info/timezone/"


class Zadarma(Provider):
    slug: ClassVar[str] = "zadarma"
    kind: ClassVar[ChannelKind] = ChannelKind.VOICE
    title: ClassVar[str] = N_("Zadarma (robot call with a recording)")
    base_url: ClassVar[str] = "https://api.zadarma.com"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = ZadarmaConfig

    config: ZadarmaConfig

    def __init__(self, config: ZadarmaConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = tuple(filter(None, (config.user_key, config.api_secret, callback_secret)))
        self._sources = _networks(config.sources)

    def problem(self) -> str:
        if self._sources is None:
            return _BAD_SOURCES
        return "" if -12 <= self.config.utc_offset <= 14 else _BAD_OFFSET

    def _get(self, path: str, refs: tuple[str, ...] = (), **params: str) -> HttpCall:
        """A signed question. The server signs what it has parsed, sorted by name, so the order on the wire is free."""
        query = dict(sorted({**params, "format": "json"}.items()))
        line = urlencode(query)
        signed = f"{path}{line}{hashlib.md5(line.encode(), usedforsecurity=False).hexdigest()}"
        headers = {"Authorization": f"{self.config.user_key}:{self._sign(signed)}"}
        return HttpCall("GET", f"{self.base}{path}", headers=headers, query=query, refs=refs)

    def _sign(self, text: str) -> str:
        """base64 of the *hexadecimal text* of the HMAC, not of its bytes: so does the vendor's own class."""
        digest = hmac.new(self.config.api_secret.encode(), text.encode("utf-8", "replace"), hashlib.sha1).hexdigest()
        return base64.b64encode(digest.encode()).decode()

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        more = {"sip": self.config.sip} if self.config.sip else {}
        return [
            self._get(
                CALLBACK,
                (message.ref,),
                **{"from": self.config.scenario, "to": _digits(message.address), "predicted": "predicted", **more},
            )
            for message in messages
        ]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        status = wire.scalar((body or {}).get("status"))
        if answer.status == 200 and status == "success":
            return [Accepted(ref, ref) for ref in call.refs]
        by_http = wire.by_http_status(answer)
        if status != "error" or by_http is not FailureClass.OUTCOME_UNKNOWN or answer.status >= 500:
            return wire.by_status_results(call, answer, self._secrets)
        detail = wire.scrub(wire.scalar((body or {}).get("message")), self._secrets)
        return wire.failures(call, FailureClass.MESSAGE_PERMANENT, detail, reason=Reason.MESSAGE_REFUSED)

    # --- webhooks

    def verify_callback(self, request: CallbackRequest) -> None:
        if not self.callback_secret or self._sources is None or not _is_from(request.source, self._sources):
            raise CallbackRejected
        if _echo(request):
            return  # asks nothing and tells nothing; the secret address has been checked
        fields = _fields(request)
        names = SIGNED.get(wire.scalar(fields.get("event")))
        given = request.headers.get("signature", "")
        if names is None or not wire.same(given, self._sign("".join(wire.scalar(fields.get(name)) for name in names))):
            raise CallbackRejected

    def callback_reply(self, request: CallbackRequest) -> tuple[int, str]:
        return 200, _echo(request) or "ok"

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        if _echo(request):
            return []
        fields = _fields(request)
        event = wire.scalar(fields.get("event"))
        if event not in SIGNED:
            raise ValueError("not a webhook of Zadarma")
        mine = not self.config.extension or wire.ident(fields.get("internal")) == self.config.extension
        if event not in OUR_EVENTS or not mine:
            return []
        phone, began = _digits(wire.ident(fields.get("destination"))), self._moment(fields.get("call_start"))
        if not phone or began is None:
            raise ValueError("a call without number or time")
        known = wire.ident(fields.get("pbx_call_id")) or f"{phone}:{began:%Y%m%d%H%M%S}"
        if event == "NOTIFY_OUT_START":
            return [StatusReport(f"{known}:start", event, address=f"+{phone}", milestone=Milestone.SENT, began=began)]
        return [self._ended(f"{known}:end"[: wire.MAX_IDENT], f"+{phone}", began, fields)]

    def _ended(self, key: str, phone: str, began: datetime, fields: Mapping[str, Any]) -> StatusReport:
        word = wire.scrub(wire.ident(fields.get("disposition")), self._secrets)
        seconds, cause = wire.number(fields.get("duration")) or 0, wire.number(fields.get("status_code"))
        milestone: Milestone | None = None
        failure: FailureClass | None = None
        reason: Reason | None = None
        if word == "answered" and seconds >= self.config.min_seconds:
            milestone = Milestone.DELIVERED
        elif word == "answered":
            failure, reason = _NO_ANSWER
        elif word in DISPOSITIONS:
            failure, reason = DISPOSITIONS[word]
            if word == "failed" and cause in CAUSES:
                failure, reason = CAUSES[cause or 0]
        detail = f"{word}, {seconds} s" + (f", Q.931 {cause}" if cause else "")
        return StatusReport(
            event_key=key,
            raw=word or "?",
            address=phone,
            milestone=milestone,
            failure=failure,
            reason=reason,
            detail=wire.scrub(detail, self._secrets),
            began=began,
        )

    def _moment(self, value: Any) -> datetime | None:
        """ "2026-11-25 14:03:07" on the cabinet's clock."""
        zone = timezone(timedelta(hours=self.config.utc_offset))
        try:
            said = datetime.strptime(wire.scalar(value).strip(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
            return said.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    # --- the account

    def build_balance(self) -> Call | None:
        return self._get(BALANCE)

    def read_balance(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = (wire.json_object(answer.body) or {}) if wire.is_whole(answer) else {}
        balance = wire.money(body.get("balance"))
        if wire.scalar(body.get("status")) == "success" and balance is not None:
            return wire.balance_report(balance)
        return wire.trouble_report(answer, wire.by_http_status(answer), self._secrets)

    def build_self_test(self) -> list[Call]:
        return [self._get(TIMEZONE), self._get(BALANCE)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if not isinstance(call, HttpCall) or not call.url.endswith(TIMEZONE):
            return self.read_balance(call, answer)
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = (wire.json_object(answer.body) or {}) if wire.is_whole(answer) else {}
        if wire.scalar(body.get("status")) != "success":
            return wire.trouble_report(answer, wire.by_http_status(answer), self._secrets)
        there, local = wire.moment(body.get("unixtime")), self._moment(body.get("datetime"))
        if there is not None and local is not None:
            hours = round((local - there) / timedelta(hours=1)) + self.config.utc_offset
            if hours != self.config.utc_offset:
                return AccountReport(
                    ok=False,
                    message=N_("The clock of the cabinet is %(hours)s hours from UTC. Enter this as its time zone."),
                    params={"hours": str(hours)},
                    failure=FailureClass.TRANSIENT,
                )
        return AccountReport(ok=True, message=N_("The account works."))


def _digits(phone: str) -> str:
    return "".join(sign for sign in phone if sign.isascii() and sign.isdigit())


def _fields(request: CallbackRequest) -> dict[str, Any]:
    """A webhook is a form; some come as multipart with a boundary that is not the header's (A32)."""
    return dict(wire.form_fields(request.body))


def _echo(request: CallbackRequest) -> str:
    """What the cabinet wants to hear back when it is given our address; "" for everything else."""
    asked = request.query.get(ECHO, "") if request.method == "GET" else ""
    return asked if len(asked) <= _ECHO_LENGTH and asked.isprintable() else ""


_Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def _networks(words: str) -> _Networks | None:
    """Addresses and networks in an option; None where one cannot be read."""
    try:
        return tuple(ipaddress.ip_network(word.strip(), strict=False) for word in words.split(",") if word.strip())
    except ValueError:
        return None


def _is_from(source: str, networks: _Networks) -> bool:
    """Whether a callback came from one of these; from anywhere where none are named."""
    if not networks:
        return True
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    return any(address.version == network.version and address in network for network in networks)
