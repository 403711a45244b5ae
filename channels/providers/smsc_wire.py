"""What the products of SMSC.ru share: one account, one wire (sys/*.php), for its text messages and its robot's calls.

Sources: smscentre.com/api/http (send/sms, send/sms/sms_answer, status_messages, miscellaneous/callback,
api/smpp/errors) as read in our fact sheet of 2026-11-22, corrections A16, C. What differs is in each product's own file.

Unverified for both, and how we live with it:
* `id` as a string (<= 40 of [A-Za-z0-9.-_]) is from newer docs and one SDK; older accounts take numbers only:
  option `own_id` off. The id is a label, not a duplicate guard.
* whether a status list repeats `id` and `phone`: both ways are read. Statuses 20-25: labels are third-party.
* the answer of balance.php, `err` above 220, the largest number of phones in one request (we use 100).
* an account has one callback address: what comes in there about another channel of the account is handed to that one.
* error 9 ("the same request twice within a minute") is RATE_LIMITED here: our references are new for every
  attempt and an attempt is never repeated blindly, so the earlier twin was another message.
"""

from __future__ import annotations

import hashlib
import hmac
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from cascade.vocabulary import FailureClass, Milestone, Reason
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
    HttpCall,
    Inbound,
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
class SmscAccountConfig:
    apikey: str = secret(
        N_("API key"),
        N_("Cabinet: Settings, API keys. Better than login and password: it can be revoked alone."),
        default="",
    )
    login: str = option(N_("Login"), N_("Only when there is no API key."), default="", rare=True)
    psw: str = secret(N_("Password"), N_("Only when there is no API key."), default="", rare=True)
    checksum: bool = option(
        N_("Callbacks are signed"),
        N_("Add md5 or sha1 to the callback address in the cabinet; unsigned callbacks are then refused."),
        default=True,
        rare=True,
    )
    own_id: bool = option(
        N_("Send our own message ids"),
        N_("Off only for old accounts that accept numbers: an unknown outcome can then not be asked about."),
        default=True,
        rare=True,
    )


_NO_LOGIN: Final = N_("Enter the API key from the SMSC cabinet (or, for an old account, login and password).")

#: Life of a message at the provider: the parameter `valid`, hh:mm.
TTL: Final = TtlRange(timedelta(minutes=1), timedelta(hours=24), timedelta(minutes=1))

#: error_code of a send -> what it means.
ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    1: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # error in parameters
    2: (FailureClass.AUTH, None),  # wrong login or password, or an address that is not allowed
    3: (FailureClass.BALANCE, None),
    4: (FailureClass.RATE_LIMITED, None),  # our IP is blocked for a while; going on prolongs it
    5: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # date format
    6: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # forbidden text or sender name
    7: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),  # not a phone number
    8: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # cannot be delivered to this number
    9: (FailureClass.RATE_LIMITED, None),
}
#: How long to keep away after these.
WAITS: Final = {4: timedelta(minutes=5), 9: timedelta(seconds=65)}

#: "Not found": too young to be known, or never taken. No news either way (P13): a message sent long ago may be asked
#: about for months after SMSC forgot it, and our own wait decides.
NO_NEWS: Final = frozenset({-3})
#: The account is in test mode: "delivered" is said, nothing is sent.
VIRTUAL: Final = 200

BATCH: Final = 100
MOSCOW: Final = timezone(timedelta(hours=3))


class SmscAccount(Provider):
    """A product of SMSC; subclasses say what they send and what its statuses mean."""

    base_url: ClassVar[str] = "https://smsc.ru"
    #: status -> milestone; status that ends a message badly, and the `err` beside it that says more -> what it means.
    milestones: ClassVar[Mapping[int, Milestone]]
    failed_statuses: ClassVar[Mapping[int, tuple[FailureClass, Reason | None]]]
    status_errors: ClassVar[Mapping[int, tuple[FailureClass, Reason | None]]]

    config: SmscAccountConfig

    def __init__(self, config: Any, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._login = (
            {"apikey": self.config.apikey}
            if self.config.apikey
            else {"login": self.config.login, "psw": self.config.psw}
        )
        self._common = {**self._login, "fmt": "3", "charset": "utf-8"}
        self._secrets = tuple(filter(None, (self.config.apikey, self.config.psw, callback_secret)))
        # One address for receipts per account: what comes in there may be about any channel of it.
        login = self.config.apikey or self.config.login
        if login:
            self.callback_group = f"smsc:{hmac.new(login.encode(), b'group', 'sha256').hexdigest()}"
        self._send_url = f"{self.base}/sys/send.php"
        self._status_url = f"{self.base}/sys/status.php"

    def problem(self) -> str:
        complete = self.config.apikey or (self.config.login and self.config.psw)
        return "" if complete else _NO_LOGIN

    # --- sending

    @abstractmethod
    def what(self, message: OutgoingMessage) -> dict[str, str]:
        """The fields of send.php that say what is sent; to whom, for how long and under which id is added."""

    def single(self, message: OutgoingMessage) -> HttpCall:
        """A request for one message. `cost=3`: send, and answer with the price and the balance."""
        form = {**self._common, "cost": "3", "phones": plus(message.address), **self.what(message)}
        if self.config.own_id:
            form["id"] = message.ref
        if message.ttl is not None:
            form["valid"] = valid(message.ttl)
        return HttpCall("POST", self._send_url, form=form, refs=(message.ref,))

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self.single(message) for message in messages]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        if body is None:
            return wire.by_status_results(call, answer, self._secrets)
        code = wire.number(body.get("error_code"))
        if code is not None or "error" in body:
            return self._refused(call, answer, code, body)
        message_id = wire.ident(body.get("id"))
        if answer.status != 200 or not message_id:
            return wire.by_status_results(call, answer, self._secrets)
        if len(call.refs) == 1:
            return [Accepted(call.refs[0], message_id, cost=wire.money(body.get("cost")))]
        return self.read_list(call, message_id, body)

    def read_list(self, call: Call, message_id: str, body: dict[str, Any]) -> list[SendResult]:
        """One answer for many phones, where a product sends so: one id, and perhaps a verdict for each."""
        return [Accepted(ref, message_id) for ref in call.refs]

    def _refused(self, call: Call, answer: Answer, code: int | None, body: dict[str, Any]) -> list[SendResult]:
        detail = wire.scrub(f"{wire.scalar(body.get('error_code'))}: {wire.scalar(body.get('error'))}", self._secrets)
        known = ERRORS.get(code) if code is not None else None
        if known is None:
            return wire.failures(call, FailureClass.OUTCOME_UNKNOWN, f"unmapped {detail}"[: wire.MAX_DETAIL])
        failure, reason = known
        wait = WAITS.get(code or 0) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, detail, reason=reason, wait=wait)

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        asked = [m for m in messages if m.provider_message_id or (m.ref and self.capabilities.lookup_by_ref)]
        calls: list[Call] = []
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            # The trailing commas keep the answer a list for a single message as well.
            form = {
                **self._common,
                "phone": "".join(f"{plus(m.address)}," for m in part),
                "id": "".join(f"{m.provider_message_id or m.ref}," for m in part),
            }
            calls.append(HttpCall("POST", self._status_url, form=form, refs=tuple(m.ref for m in part)))
        return calls

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if answer.no_answer is not None or answer.truncated or answer.status != 200 or not isinstance(call, HttpCall):
            return []
        body = wire.parse_json(answer.body)
        rows = body if isinstance(body, list) else [body]
        rows = [row if isinstance(row, dict) else {} for row in rows]
        form = call.form or {}
        ids = [part for part in form.get("id", "").split(",") if part]
        phones = [part for part in form.get("phone", "").split(",") if part]
        asked = list(zip(ids, phones, call.refs, strict=False))
        by_pair = {(message_id, digits(phone)): ref for message_id, phone, ref in asked}
        reports: list[StatusReport] = []
        for index, row in enumerate(rows):
            message_id, phone = wire.ident(row.get("id")), wire.ident(row.get("phone"))
            if message_id and phone:
                ref = by_pair.get((message_id, digits(phone)), "")
            elif len(rows) == len(asked):
                message_id, phone, ref = asked[index]
            else:
                continue
            if "status" in row and "error_code" not in row and wire.number(row["status"]) not in NO_NEWS:
                reports.append(self._report(row, message_id, plus(digits(phone)), ref))
        return reports

    def judge(
        self, status: int | None, err: int, row: Mapping[str, Any]
    ) -> tuple[Milestone | None, FailureClass | None, Reason | None]:
        """What a status means for the person; three times None for one that nobody knows."""
        milestone = self.milestones.get(status) if status is not None else None
        failed = self.failed_statuses.get(status) if status is not None else None
        if failed is not None:
            failed = self.status_errors.get(err, failed)
        return milestone, *(failed or (None, None))

    def event(self, row: Mapping[str, Any]) -> str:
        """What else tells one event about a message from the next, besides its status."""
        return ""

    def _report(self, row: dict[str, Any], message_id: str, phone: str, ref: str) -> StatusReport:
        raw, err = wire.scrub(wire.scalar(row.get("status")), self._secrets), wire.number(row.get("err")) or 0
        status = wire.number(raw)
        detail = f"status {raw}" + (f", err {err}" if err else "")
        milestone, failure, reason = self.judge(status, err, row)
        if err == VIRTUAL:
            milestone, failure, reason = None, FailureClass.AUTH, None
            detail += " (virtual send: test mode is on in the cabinet, nothing is really sent)"
        if not ref and wire.OUR_REF.fullmatch(message_id):
            ref = message_id
        return StatusReport(
            event_key=f"{message_id}:{digits(phone)}:{raw}:{err}{self.event(row)}",
            raw=raw,
            ref=ref,
            provider_message_id=message_id,
            address=phone,
            milestone=milestone,
            failure=failure,
            reason=reason,
            detail=wire.scrub(detail, self._secrets),
            at=wire.moment(row.get("last_timestamp")) or wire.moment(row.get("ts")) or _moscow(row.get("time")),
            cost=wire.money(row.get("cost")),
        )

    def verify_callback(self, request: CallbackRequest) -> None:
        fields = callback_fields(request)
        if not self.callback_secret or fields is None:
            raise CallbackRejected
        if not self.config.checksum or ("mes" in fields and "status" not in fields):
            return  # the secret part of the address is all there is
        signed = ":".join(
            (fields.get("id", ""), fields.get("phone", ""), fields.get("status", ""), self.callback_secret)
        ).encode("utf-8", "replace")
        # crc32 is offered by SMSC too; four bytes are no signature.
        given_sha1 = fields.get("sha1") or request.headers.get("sha1", "")
        given_md5 = fields.get("md5") or request.headers.get("md5", "")
        good_sha1 = wire.same(given_sha1.lower(), hashlib.sha1(signed, usedforsecurity=False).hexdigest())
        good_md5 = wire.same(given_md5.lower(), hashlib.md5(signed, usedforsecurity=False).hexdigest())
        if not (good_sha1 | good_md5):
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        fields = callback_fields(request)
        if fields is None:
            raise ValueError("not a callback of SMSC")
        phone = wire.ident(fields.get("phone"))
        if "status" in fields:
            return self.read_status(fields, wire.ident(fields.get("id")), plus(digits(phone)) if phone else "")
        if "mes" in fields and phone:
            text = wire.prose(fields["mes"])
            known = (
                wire.ident(fields.get("id"))
                or hashlib.sha256("\0".join((phone, fields.get("time", ""), text)).encode()).hexdigest()
            )
            at = wire.moment(fields.get("ts")) or _moscow(fields.get("time"))
            return [Inbound(f"in:{known}", plus(digits(phone)), text=text, at=at)]
        raise ValueError("neither a status nor an incoming message")

    def read_status(self, fields: dict[str, str], message_id: str, phone: str) -> list[CallbackItem]:
        """What a callback about one message says."""
        report = self._report(dict(fields), message_id, phone, "")
        items: list[CallbackItem] = [report]
        if report.reason is Reason.NOT_REGISTERED and report.address:
            items.append(
                AddressChange(report.address, AddressState.INVALID, f"{report.event_key}:address", at=report.at)
            )
        return items

    # --- the account

    def build_balance(self) -> Call | None:
        return HttpCall("POST", f"{self.base}/sys/balance.php", form=self._common)

    def read_balance(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.json_object(answer.body) or {}
        balance = wire.money(body.get("balance"))
        if balance is not None:
            return wire.balance_report(balance)
        code = wire.number(body.get("error_code"))
        detail = wire.words(answer.body, self._secrets)
        if code == 2:
            return AccountReport(
                ok=False,
                message=N_(
                    "SMSC refuses the key or the password. Check them, and whether the cabinet allows only certain "
                    "IP addresses."
                ),
                failure=FailureClass.AUTH,
            )
        if code == 4:
            return AccountReport(
                ok=False,
                message=N_("SMSC has blocked this server for a few minutes because of errors. Wait, then try again."),
                failure=FailureClass.RATE_LIMITED,
            )
        return AccountReport(
            ok=False,
            message=N_("SMSC answers something unexpected: %(detail)s. Check the address of the API."),
            params={"detail": f"HTTP {answer.status} {detail}"},
            failure=ERRORS[code][0] if code in ERRORS else wire.by_http_status(answer),
        )

    def build_self_test(self) -> list[Call]:
        return [HttpCall("POST", f"{self.base}/sys/balance.php", form=self._common)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        return self.read_balance(call, answer)


def plus(phone: str) -> str:
    """With a plus SMSC takes the number as it is; without one it "corrects" it."""
    return phone if phone.startswith("+") else f"+{phone}"


def digits(phone: str) -> str:
    return phone.strip().lstrip("+")


def valid(ttl: timedelta) -> str:
    """hh:mm, 00:01 .. 24:00."""
    minutes = TTL.snap(ttl) // timedelta(minutes=1)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _moscow(value: Any) -> datetime | None:
    """ "31.12.2026 23:59:59", Moscow time."""
    try:
        return datetime.strptime(wire.scalar(value).strip(), "%d.%m.%Y %H:%M:%S").replace(tzinfo=MOSCOW).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def callback_fields(request: CallbackRequest) -> dict[str, str] | None:
    """The fields, wherever this account puts them: JSON, a form, or the query. None: there are none."""
    fields = dict(request.query)
    if request.body.strip():
        value = wire.parse_json(request.body)
        if isinstance(value, dict):
            fields |= {
                str(name): wire.scalar(field) for name, field in value.items() if not isinstance(field, dict | list)
            }
        else:
            try:
                text = request.body.decode("utf-8")
            except UnicodeDecodeError:
                return None
            encoding = "utf-8" if _is_utf8(text) else "cp1251"
            try:
                fields |= dict(
                    parse_qsl(text, keep_blank_values=True, encoding=encoding, errors="replace", max_num_fields=100)
                )
            except ValueError:
                return None
    if not {"phone", "id"} & fields.keys():
        return None
    return {name: wire.scalar(field) for name, field in fields.items()}


def _is_utf8(text: str) -> bool:
    """Whether the percent-encoded bytes are UTF-8; SMSC's default is windows-1251 unless the address says otherwise."""
    try:
        parse_qsl(text, encoding="utf-8", errors="strict", max_num_fields=100)
    except (UnicodeDecodeError, ValueError):
        return False
    return True
