"""SMS.RU: what its products share: one account (api_id), one balance, one envelope of answers, one table of codes.

HTTP is 200 even for errors: the whole answer has a code, and each phone in it has its own. What is unverified of the
codes: channels.providers.sms_ru.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Final

from cascade.vocabulary import FailureClass, Reason
from channels.providers import wire
from channels.providers.base import AccountReport, Answer, Call, HttpCall, Provider, SendResult

_REFUSED: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED)

#: Code of a request, or of one phone in its answer -> what it means.
ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    150: _REFUSED,
    200: (FailureClass.AUTH, None),  # wrong api_id
    201: (FailureClass.BALANCE, None),
    202: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),  # not a phone number
    203: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # no text
    204: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # the sender name is not approved
    205: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # too long
    206: (FailureClass.RATE_LIMITED, None),  # the account's limit for today
    207: _REFUSED,  # nothing can be sent to this number
    209: _REFUSED,  # our own stop list in their cabinet
    220: (FailureClass.TRANSIENT, None),  # the service is not available
    230: _REFUSED,  # too many to this number today
    231: _REFUSED,  # the same text to this number within a minute
    232: _REFUSED,  # the same text to this number today
    233: _REFUSED,
    300: (FailureClass.AUTH, None),
    301: (FailureClass.AUTH, None),
    302: (FailureClass.AUTH, None),  # the account is not confirmed
    500: (FailureClass.OUTCOME_UNKNOWN, None),
}
#: How long to keep away after these.
WAITS: Final = {206: timedelta(hours=1)}

OK: Final = 100


class SmsRuAccount(Provider):
    """Questions and refusals; `config` has `api_id`."""

    base_url: ClassVar[str] = "https://sms.ru"

    def __init__(self, config: Any, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.api_id, callback_secret)

    def _ask(self, method: str, refs: tuple[str, ...] = (), **fields: str) -> HttpCall:
        form = {"api_id": self.config.api_id, "json": "1", **fields}
        return HttpCall("POST", f"{self.base}/{method}", form=form, refs=refs)

    def _refused(self, call: Call, code: int | None, said: dict[str, Any]) -> list[SendResult]:
        detail = wire.scrub(f"{wire.scalar(said.get('status_code'))}: {text_of(said)}", self._secrets)
        known = ERRORS.get(code) if code is not None else None
        if known is None:
            return wire.failures(call, FailureClass.OUTCOME_UNKNOWN, f"unmapped {detail}"[: wire.MAX_DETAIL])
        failure, reason = known
        return wire.failures(call, failure, detail, reason=reason, wait=WAITS.get(code or 0))

    # --- the account

    def build_balance(self) -> Call | None:
        return self._ask("my/balance")

    def read_balance(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.json_object(answer.body) or {}
        code, balance = wire.number(body.get("status_code")), wire.money(body.get("balance"))
        if answer.status == 200 and code == OK and balance is not None:
            return wire.balance_report(balance)
        return self._trouble(answer, code)

    def build_self_test(self) -> list[Call]:
        return [self._ask("my/balance")]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        return self.read_balance(call, answer)

    def _trouble(self, answer: Answer, code: int | None) -> AccountReport:
        failure = ERRORS[code][0] if code in ERRORS else wire.by_http_status(answer)
        return wire.trouble_report(answer, failure, self._secrets)


def text_of(said: dict[str, Any]) -> str:
    return wire.scalar(said.get("status_text"))
