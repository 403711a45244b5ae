"""SMS Aero, API v2: what its products share. One account (e-mail, key), one balance, one envelope of answers.

Sources: smsaero-api 3.2.0 for Python, smsaero 2.0.0 for Node, github smsaero/smsaero_php and smsaero_golang as read in our fact
sheet of 2026-11-22 (section 2), corrections A14, A15. The vendor's own pages are a program and could not be read.

We do not use the vendor's libraries: they post the same message again to the next host on any exception.

Status codes differ from product to product (A15): each has its own table, in its own file.
"""

from __future__ import annotations

import base64
from typing import Any, ClassVar, Final

from cascade.vocabulary import FailureClass, Reason
from channels.providers import wire
from channels.providers.base import AccountReport, Answer, Call, HttpCall, Provider, SendResult

#: Field that "Validation error." names in `data` -> what it means. The first one named here decides: a bad sender
#: name is everybody's trouble, a bad number one person's.
ERRORS: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "callbackUrl": (FailureClass.AUTH, None),  # our address is not accepted: trouble of this account's settings
    "sign": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    "text": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    "number": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
}
#: The other form of refusal: {"result": word}.
RESULTS: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "no credits": (FailureClass.BALANCE, None),
    "reject": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
}
#: Words in `message` of an answer without success.
WORDS: Final[tuple[tuple[str, FailureClass], ...]] = (
    ("auth", FailureClass.AUTH),
    ("авториз", FailureClass.AUTH),
    ("credit", FailureClass.BALANCE),
    ("money", FailureClass.BALANCE),
    ("balance", FailureClass.BALANCE),
    ("средств", FailureClass.BALANCE),
)


class SmsAeroAccount(Provider):
    """Login, questions and the envelope; `config` has `email` and `api_key`."""

    base_url: ClassVar[str] = "https://gate.smsaero.ru"

    def __init__(self, config: Any, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        login = base64.b64encode(f"{config.email}:{config.api_key}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}
        self._secrets = (login, config.api_key, callback_secret)

    def _ask(self, method: str, refs: tuple[str, ...] = (), **fields: Any) -> HttpCall:
        """JSON always: a form is answered with "Validation error."."""
        return HttpCall("POST", f"{self.base}/v2/{method}", headers=self._headers, json=fields, refs=refs)

    def _taken(self, call: Call, answer: Answer) -> dict[str, Any] | list[SendResult]:
        """The record of a message that was taken, with its id; else why it was not."""
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        if body is None or wire.by_http_status(answer) is not FailureClass.OUTCOME_UNKNOWN or answer.status >= 500:
            return wire.by_status_results(call, answer, self._secrets)
        record = record_of(body)
        if body.get("success") is True and answer.status == 200 and wire.ident(record.get("id")):
            return record
        failure, reason = refusal_of(body)
        detail = wire.words(answer.body, self._secrets)
        if failure is FailureClass.OUTCOME_UNKNOWN:
            detail = f"unmapped {detail}"[: wire.MAX_DETAIL]
        return wire.failures(call, failure, detail, reason=reason)

    # --- the account

    def build_balance(self) -> Call | None:
        return self._ask("balance")

    def read_balance(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.json_object(answer.body) or {}
        balance = wire.money(record_of(body).get("balance"))
        if answer.status == 200 and body.get("success") is True and balance is not None:
            return wire.balance_report(balance)
        failure = wire.by_http_status(answer)
        if failure is FailureClass.OUTCOME_UNKNOWN and answer.status < 500:
            failure, _ = refusal_of(body)
        return wire.trouble_report(answer, failure, self._secrets)

    def build_self_test(self) -> list[Call]:
        return [self._ask("balance")]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        return self.read_balance(call, answer)


def record_of(body: dict[str, Any]) -> dict[str, Any]:
    """`data` of an answer; of a list with one record (an answer to `numbers`) that record."""
    data = body.get("data")
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return data if isinstance(data, dict) else {}


def refusal_of(body: dict[str, Any]) -> tuple[FailureClass, Reason | None]:
    """What a refusal means; OUTCOME_UNKNOWN for words nobody has documented."""
    result = wire.scalar(body.get("result")).lower()
    if result in RESULTS:
        return RESULTS[result]
    if body.get("success") is not False:
        return FailureClass.OUTCOME_UNKNOWN, None
    named = wire.get_dict(body, "data")
    for field, meaning in ERRORS.items():
        if field in named:
            return meaning
    message = wire.scalar(body.get("message")).lower()
    for word, failure in WORDS:
        if word in message:
            return failure, None
    return FailureClass.OUTCOME_UNKNOWN, None


def as_number(text: str) -> int | str:
    """Numbers and ids go as numbers, without the plus."""
    digits = text.lstrip("+")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else digits
