"""SMSC.ru (also smsc.kz, smsc.ua, smscentre.com and white labels: the same API under another base URL).

Sources: smscentre.com/api/http (send/sms, send/sms/sms_answer, status_messages, miscellaneous/callback,
api/smpp/errors) as read in our fact sheet of 2026-11-22, corrections A16, C.

Unverified, and how we live with it:
* `id` as a string (<= 40 of [A-Za-z0-9.-_]) is from newer docs and one SDK; older accounts take numbers only:
  option `own_id` off. The id is a label, not a duplicate guard.
* `list=` (one request, many texts) and `op=1` (per-number verdicts): third-party sources; option `batch`, off.
* whether a status list repeats `id` and `phone`: both ways are read. Statuses 20-25: labels are third-party.
* `del=1` deletes a sent message; that it stops one still waiting is only likely: option `recall_by_delete`, off.
* the answer of balance.php, `err` above 220, the largest number of phones in one request (we use 100).
* fields of an inbound SMS in the callback and its checksum: believed on the strength of the secret URL alone.
* error 9 ("the same request twice within a minute") is RATE_LIMITED here: our references are new for every
  attempt and an attempt is never repeated blindly, so the earlier twin was another message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

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
    Failed,
    How,
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
class SmscConfig:
    apikey: str = secret(
        N_("API key"),
        N_("Cabinet: Settings, API keys. Better than login and password: it can be revoked alone."),
        default="",
    )
    login: str = option(N_("Login"), N_("Only when there is no API key."), default="", rare=True)
    psw: str = secret(N_("Password"), N_("Only when there is no API key."), default="", rare=True)
    sender: str = option(
        N_("Sender name"), N_("As registered in the cabinet; empty: the account's default name."), default=""
    )
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
    batch: bool = option(
        N_("Send up to 100 messages in one request"),
        N_("For large campaigns. An unknown outcome then concerns the whole hundred."),
        default=False,
        rare=True,
    )
    replies: bool = option(
        N_("A number for replies is rented"), N_("Then a chain may wait for a reply by SMS."), default=False, rare=True
    )
    recall_by_delete: bool = option(
        N_("Take back waiting messages"),
        N_("Sends del=1 before the next step. SMSC does not promise that this stops a message."),
        default=False,
        rare=True,
    )


_NO_LOGIN: Final = N_("Enter the API key from the SMSC cabinet (or, for an old account, login and password).")

CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.BOTH,
        Milestone.DELIVERED: How.BOTH,
        Milestone.CLICKED: How.LINK,
    },
    lookup_by_ref=True,
    poll_batch=100,
    ttl=TtlRange(timedelta(minutes=1), timedelta(hours=24), timedelta(minutes=1)),
    balance=True,
    max_text=1000,
    counts_sms_parts=True,
    default_rate=10.0,
    charged_on=ChargedOn.ACCEPTED,
)

#: status -> milestone. -1 "waiting" proves acceptance (it settles an unknown outcome). 2 "read" exists for Viber
#: and e-mail only; for an SMS it proves what read implies.
MILESTONES: Final[dict[int, Milestone]] = {
    -1: Milestone.ACCEPTED,
    0: Milestone.SENT,
    1: Milestone.DELIVERED,
    2: Milestone.DELIVERED,
    4: Milestone.CLICKED,
}

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

#: status that ends a message badly -> what it means.
FAILED_STATUSES: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    -2: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # somebody stopped it in the cabinet
    3: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME),
    20: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    22: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    23: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    24: (FailureClass.BALANCE, None),
    25: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
}
#: "Not found": too young to be known, or never taken. No news either way (P13): a message sent long ago may be asked
#: about for months after SMSC forgot it, and our own wait decides.
NO_NEWS: Final = frozenset({-3})
#: `err` beside such a status: says more than the status.
STATUS_ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    1: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),  # subscriber does not exist
    6: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME),  # phone is off
    11: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # no SMS service, roaming, landline
    12: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # handset or SIM error
    13: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # subscriber is blocked
    21: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # service not supported
    219: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # new SIM: named senders blocked for 24 h
    220: (FailureClass.TRANSIENT, None),  # operator's queue is full
}
#: The account is in test mode: "delivered" is said, nothing is sent.
VIRTUAL: Final = 200

BATCH: Final = 100
MOSCOW: Final = timezone(timedelta(hours=3))


class Smsc(Provider):
    slug: ClassVar[str] = "smsc"
    kind: ClassVar[ChannelKind] = ChannelKind.SMS
    title: ClassVar[str] = N_("SMSC.ru (SMS)")
    base_url: ClassVar[str] = "https://smsc.ru"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmscConfig

    config: SmscConfig

    def __init__(self, config: SmscConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        reports = dict(CAPABILITIES.reports)
        if config.replies:
            reports[Milestone.REPLIED] = How.CALLBACK
        self.capabilities = replace(
            CAPABILITIES,
            reports=reports,
            send_batch=BATCH if config.batch else 1,
            lookup_by_ref=config.own_id and not config.batch,
            recall=config.recall_by_delete,
        )
        self._login = {"apikey": config.apikey} if config.apikey else {"login": config.login, "psw": config.psw}
        self._common = {**self._login, "fmt": "3", "charset": "utf-8"}
        self._secrets = tuple(filter(None, (config.apikey, config.psw, callback_secret)))
        self._send_url = f"{self.base}/sys/send.php"
        self._status_url = f"{self.base}/sys/status.php"

    def problem(self) -> str:
        complete = self.config.apikey or (self.config.login and self.config.psw)
        return "" if complete else _NO_LOGIN

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        if not self.config.batch:
            return [self._single(message) for message in messages]
        return [self._single(group[0]) if len(group) == 1 else self._list(group) for group in _groups(messages)]

    def _single(self, message: OutgoingMessage) -> HttpCall:
        form = {**self._common, "cost": "3", "phones": _plus(message.address), "mes": message.text}
        if self.config.own_id:
            form["id"] = message.ref
        if self.config.sender:
            form["sender"] = self.config.sender
        if message.ttl is not None:
            form["valid"] = _valid(message.ttl)
        return HttpCall("POST", self._send_url, form=form, refs=(message.ref,))

    def _list(self, group: Sequence[OutgoingMessage]) -> HttpCall:
        rows = "\n".join(f"{_plus(message.address)}:{message.text}" for message in group)
        form = {**self._common, "cost": "3", "op": "1", "list": rows}
        if self.config.own_id:
            # One id for the whole list, told from the reference of a single message by its dot.
            form["id"] = f"b.{group[0].ref}"
        if self.config.sender:
            form["sender"] = self.config.sender
        if group[0].ttl is not None:
            form["valid"] = _valid(group[0].ttl)
        return HttpCall("POST", self._send_url, form=form, refs=tuple(message.ref for message in group))

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
        return self._read_list(call, message_id, body)

    def _refused(self, call: Call, answer: Answer, code: int | None, body: dict[str, Any]) -> list[SendResult]:
        detail = wire.scrub(f"{wire.scalar(body.get('error_code'))}: {wire.scalar(body.get('error'))}", self._secrets)
        known = ERRORS.get(code) if code is not None else None
        if known is None:
            return wire.failures(call, FailureClass.OUTCOME_UNKNOWN, f"unmapped {detail}"[: wire.MAX_DETAIL])
        failure, reason = known
        wait = WAITS.get(code or 0) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, detail, reason=reason, wait=wait)

    def _read_list(self, call: Call, message_id: str, body: dict[str, Any]) -> list[SendResult]:
        """One answer for many phones: a number with an `error` was refused, the others were taken."""
        rows = body.get("phones")
        by_phone = {
            _digits(wire.scalar(row.get("phone"))): row
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, dict)
        }
        phones = _phones_of(call)
        results: list[SendResult] = []
        for index, ref in enumerate(call.refs):
            row = by_phone.get(_digits(phones[index])) if index < len(phones) else None
            code = wire.number(row.get("error")) if row else None
            if row is None or not code:
                results.append(Accepted(ref, message_id, cost=wire.money(row.get("cost")) if row else None))
                continue
            failure, reason = ERRORS.get(code, (FailureClass.OUTCOME_UNKNOWN, None))
            results.append(Failed(ref, failure, reason, f"{code}", WAITS.get(code)))
        return results

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        asked = [m for m in messages if m.provider_message_id or (m.ref and self.capabilities.lookup_by_ref)]
        calls: list[Call] = []
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            # The trailing commas keep the answer a list for a single message as well.
            form = {
                **self._common,
                "phone": "".join(f"{_plus(m.address)}," for m in part),
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
        by_pair = {(message_id, _digits(phone)): ref for message_id, phone, ref in asked}
        reports: list[StatusReport] = []
        for index, row in enumerate(rows):
            message_id, phone = wire.ident(row.get("id")), wire.ident(row.get("phone"))
            if message_id and phone:
                ref = by_pair.get((message_id, _digits(phone)), "")
            elif len(rows) == len(asked):
                message_id, phone, ref = asked[index]
            else:
                continue
            if "status" in row and "error_code" not in row and wire.number(row["status"]) not in NO_NEWS:
                reports.append(self._report(row, message_id, _plus(_digits(phone)), ref))
        return reports

    def _report(self, row: dict[str, Any], message_id: str, phone: str, ref: str) -> StatusReport:
        raw, err = wire.scrub(wire.scalar(row.get("status")), self._secrets), wire.number(row.get("err")) or 0
        status = wire.number(raw)
        milestone: Milestone | None = None
        failure: FailureClass | None = None
        reason: Reason | None = None
        detail = f"status {raw}" + (f", err {err}" if err else "")
        if err == VIRTUAL:
            failure = FailureClass.AUTH
            detail += " (virtual send: test mode is on in the cabinet, nothing is really sent)"
        elif status in MILESTONES:
            milestone = MILESTONES[status]
        elif status in FAILED_STATUSES:
            failure, reason = STATUS_ERRORS.get(err, FAILED_STATUSES[status])
        if not ref and wire.OUR_REF.fullmatch(message_id):
            ref = message_id
        return StatusReport(
            event_key=f"{message_id}:{_digits(phone)}:{raw}:{err}",
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
        fields = _callback_fields(request)
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
        fields = _callback_fields(request)
        if fields is None:
            raise ValueError("not a callback of SMSC")
        phone = wire.ident(fields.get("phone"))
        if "status" in fields:
            message_id = wire.ident(fields.get("id"))
            report = self._report(dict(fields), message_id, _plus(_digits(phone)) if phone else "", "")
            items: list[CallbackItem] = [report]
            if report.reason is Reason.NOT_REGISTERED and report.address:
                items.append(
                    AddressChange(report.address, AddressState.INVALID, f"{report.event_key}:address", at=report.at)
                )
            return items
        if "mes" in fields and phone:
            text = wire.prose(fields["mes"])
            known = (
                wire.ident(fields.get("id"))
                or hashlib.sha256("\0".join((phone, fields.get("time", ""), text)).encode()).hexdigest()
            )
            at = wire.moment(fields.get("ts")) or _moscow(fields.get("time"))
            return [Inbound(f"in:{known}", _plus(_digits(phone)), text=text, at=at)]
        raise ValueError("neither a status nor an incoming message")

    # --- the account

    def build_recall(self, message: SentMessage) -> Call | None:
        message_id = message.provider_message_id or (message.ref if self.capabilities.lookup_by_ref else "")
        if not self.capabilities.recall or not message_id:
            return None
        form = {**self._common, "phone": _plus(message.address), "id": message_id, "del": "1"}
        return HttpCall("POST", self._status_url, form=form, refs=(message.ref,))

    def read_recall(self, call: Call, answer: Answer) -> bool:
        body = wire.json_object(answer.body)
        return answer.no_answer is None and answer.status == 200 and body is not None and "error" not in body

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


def _groups(messages: Sequence[OutgoingMessage]) -> Iterator[list[OutgoingMessage]]:
    """Messages that may share a request: same lifetime, no phone twice (answers and receipts tell them apart by
    phone), no line breaks (a list is one line for each message)."""
    groups: dict[timedelta | None, list[OutgoingMessage]] = {}
    seen: dict[timedelta | None, set[str]] = {}
    for message in messages:
        if "\n" in message.text or "\r" in message.text:
            yield [message]
            continue
        group, phones = groups.setdefault(message.ttl, []), seen.setdefault(message.ttl, set())
        if len(group) == BATCH or message.address in phones:
            yield list(group)
            group.clear()
            phones.clear()
        group.append(message)
        phones.add(message.address)
    yield from (group for group in groups.values() if group)


def _phones_of(call: Call) -> list[str]:
    form = call.form if isinstance(call, HttpCall) and call.form else {}
    return [row.partition(":")[0] for row in form.get("list", "").split("\n")]


def _plus(phone: str) -> str:
    """With a plus SMSC takes the number as it is; without one it "corrects" it."""
    return phone if phone.startswith("+") else f"+{phone}"


def _digits(phone: str) -> str:
    return phone.strip().lstrip("+")


def _valid(ttl: timedelta) -> str:
    """hh:mm, 00:01 .. 24:00."""
    ttl_range = CAPABILITIES.ttl
    minutes = (ttl_range.snap(ttl) if ttl_range else ttl) // timedelta(minutes=1)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _moscow(value: Any) -> datetime | None:
    """ "31.12.2026 23:59:59", Moscow time."""
    try:
        return datetime.strptime(wire.scalar(value).strip(), "%d.%m.%Y %H:%M:%S").replace(tzinfo=MOSCOW).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _callback_fields(request: CallbackRequest) -> dict[str, str] | None:
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
