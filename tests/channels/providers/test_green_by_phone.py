"""GREEN-API for MAX and Telegram: the battery, every documented word, and what writing by phone needs."""

from datetime import timedelta

import pytest

from cascade.vocabulary import FailureClass as Fail
from cascade.vocabulary import Milestone as Mile
from channels.providers.base import Answer, NoAnswer, StatusReport
from tests.channels.providers.contract import ProviderContract
from tests.channels.providers.test_documented import GREEN_API_ERRORS, refusal, said
from tests.channels.providers.test_green_api import TestGreenApiWhatsApp as WhatsApp


class ByPhone(ProviderContract):
    config = WhatsApp.config
    secrets = WhatsApp.secrets
    address = "10000000"
    phone = "+79120000000"
    unknown_status = WhatsApp.unknown_status
    sign = WhatsApp.sign
    spoil = WhatsApp.spoil


class TestGreenApiMax(ByPhone):
    slug = "green_api_max"


class TestGreenApiTelegram(ByPhone):
    slug = "green_api_telegram"


both = pytest.mark.parametrize("contract", [TestGreenApiMax(), TestGreenApiTelegram()], ids=lambda one: one.slug)
maxed, telegram = TestGreenApiMax(), TestGreenApiTelegram()


@both
@pytest.mark.parametrize(("status", "text", "means"), GREEN_API_ERRORS)
def test_errors(contract: ByPhone, status: int, text: str, means: Fail) -> None:
    assert refusal(contract, said(text, status)) is means


@both
@pytest.mark.parametrize(
    ("word", "means", "believed"),
    [
        ("sent", Mile.SENT, Mile.SENT),
        ("delivered", Mile.SENT, Mile.DELIVERED),
        ("read", Mile.READ, Mile.READ),
        ("failed", Fail.RECIPIENT_PERMANENT, Fail.RECIPIENT_PERMANENT),
        ("noAccount", Fail.RECIPIENT_PERMANENT, Fail.RECIPIENT_PERMANENT),
        ("yellowCard", Fail.AUTH, Fail.AUTH),
    ],
)
def test_statuses_by_webhook_and_by_question(
    contract: ByPhone, word: str, means: Mile | Fail, believed: Mile | Fail
) -> None:
    hook = contract.callback({"typeWebhook": "outgoingMessageStatus", "idMessage": "3EB0", "status": word})
    for provider, meaning in (
        (contract.provider(), means),
        (contract.provider(delivered_is_device=True), believed),
    ):
        (call,) = provider.build_poll([contract.sent()])
        (polled,) = provider.read_poll(call, said(f'{{"statusMessage":"{word}"}}'))
        for report in (provider.read_callback(hook)[0], polled):
            assert isinstance(report, StatusReport)
            assert (report.milestone or report.failure) is meaning
        assert (Mile.DELIVERED in provider.capabilities.reports) is provider.config.delivered_is_device


@both
@pytest.mark.parametrize(
    ("answer", "means", "wait"),
    [
        (said('{"status":false,"reason":"instance is starting or not authorized"}'), Fail.AUTH, None),
        (said('{"status":false,"reason":"User get contact info limit reached"}'), Fail.RATE_LIMITED, 7),
        (said("instance in starting process try later", 400), Fail.TRANSIENT, None),
        (said('{"invokeStatus":{"status":"QUOTE_EXCEEDED"}}', 466), Fail.BALANCE, None),
        (said("", 401), Fail.AUTH, None),
        (said("", 429), Fail.RATE_LIMITED, None),
        (said("", 500), Fail.TRANSIENT, None),
        (said('{"exist":true}'), Fail.TRANSIENT, None),
        (Answer(no_answer=NoAnswer.MAYBE_SENT), Fail.TRANSIENT, None),
    ],
)
def test_a_check_that_finds_nobody_says_why_and_never_that_nobody_is_there(
    contract: ByPhone, answer: Answer, means: Fail, wait: int | None
) -> None:
    provider = contract.provider(check_pause_minutes=7)
    (call,) = provider.build_check([contract.phone])
    assert provider.read_check(call, answer) == []
    failed = provider.read_unresolved(call, answer)
    assert (failed.failure, failed.reason) == (means, None)
    assert failed.retry_after == (timedelta(minutes=wait) if wait else None)


@both
def test_a_phone_is_asked_about_and_never_written_to(contract: ByPhone) -> None:
    provider = contract.provider()
    (check,) = provider.build_check(["+79120000000"])
    assert check.json == {"phoneNumber": 79120000000}
    assert check.url.endswith("/waInstance1101000001/checkAccount/d75b3a66374942c5b3c0canary")
    (send,) = provider.build_send([contract.message()])
    assert send.json == {"chatId": "10000000", "message": "Ждём вас завтра в 12:00"}
    for nobody in ("+79120000000", "79120000000@c.us", "-100", ""):
        with pytest.raises(ValueError, match="build_check"):
            provider.build_send([contract.message(address=nobody)])


def test_max_takes_numbers_of_two_countries() -> None:
    phones = ["+79120000000", "+375291234567", "+998901234567", "+4915112345678", "not a phone"]
    assert [call.json["phoneNumber"] for call in maxed.provider().build_check(phones)] == [79120000000, 375291234567]
    assert len(telegram.provider().build_check(phones)) == 4


def test_only_max_can_take_back_and_only_if_the_owner_has_tried_it() -> None:
    assert maxed.provider().build_recall(maxed.sent()) is None
    allowed = maxed.provider(recall_by_delete=True)
    assert allowed.capabilities.recall
    assert allowed.build_recall(maxed.sent()).json == {
        "chatId": "10000000",
        "idMessage": maxed.sent().provider_message_id,
    }
    assert telegram.provider().build_recall(telegram.sent()) is None


@both
def test_a_pause_that_cannot_be_is_refused_on_the_form(contract: ByPhone) -> None:
    assert contract.provider(check_pause_minutes=0).problem()
    assert not contract.provider(check_pause_minutes=60).problem()
