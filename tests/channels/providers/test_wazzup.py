"""Wazzup24: the battery for each transport, every documented code and state, and what one account shares."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from cascade.vocabulary import FailureClass as Fail
from cascade.vocabulary import Milestone as Mile
from channels.providers.base import CallbackRequest
from tests.channels.providers.contract import ProviderContract
from tests.channels.providers.test_documented import refusal, said

CHANNEL = "a0000001-0000-4000-8000-00000000000"


class Wazzup(ProviderContract):
    secrets = ("canary-wazzup-key-0123456789",)
    unknown_status = {"statuses": [{"messageId": "m1", "status": "teleported"}]}
    accepts_without_id = True

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        url = self.provider().build_callback_setup("https://x.example/hooks/1").json["webhooksUri"]
        return CallbackRequest(request.method, dict(parse_qsl(urlsplit(url).query)), request.headers, request.body)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        good = request.query["key"]
        wrong = (good[:-1] + ("0" if good[-1] != "0" else "1"), good.upper(), "", "é")
        queries = [{}, *({"key": each} for each in wrong)]
        return [CallbackRequest("POST", each, request.headers, request.body) for each in queries]


def config(number: int, **changes: object) -> dict[str, object]:
    return {"api_key": Wazzup.secrets[0], "channel_id": f"{CHANNEL}{number}", **changes}


class TestWazzupWhatsApp(Wazzup):
    slug = "wazzup_whatsapp"
    config = config(1)


class TestWazzupTelegram(Wazzup):
    slug = "wazzup_telegram"
    config = config(2)


class TestWazzupMax(Wazzup):
    slug = "wazzup_max"
    config = config(3)


class TestWazzupViber(Wazzup):
    slug = "wazzup_viber"
    config = config(4)


class TestWazzupAvito(Wazzup):
    slug = "wazzup_avito"
    config = config(5)
    address = "u2i-555"


whatsapp, telegram, maxed, viber, avito = (
    TestWazzupWhatsApp(),
    TestWazzupTelegram(),
    TestWazzupMax(),
    TestWazzupViber(),
    TestWazzupAvito(),
)


@pytest.mark.parametrize(
    ("code", "means"),
    [
        ("BAD_CONTACT", Fail.RECIPIENT_PERMANENT),
        ("CHAT_NO_ACCESS", Fail.RECIPIENT_PERMANENT),
        ("MESSAGES_ABNORMAL_SEND", Fail.RECIPIENT_PERMANENT),
        ("MESSAGES_INVALID_CONTACT_TYPE", Fail.AUTH),
        ("WRONG_TRANSPORT", Fail.AUTH),
        ("24_HOURS_EXCEEDED", Fail.MESSAGE_PERMANENT),
        ("7_DAYS_EXCEEDED", Fail.MESSAGE_PERMANENT),
        ("MESSAGE_TEXT_TOO_LONG", Fail.MESSAGE_PERMANENT),
        ("MESSAGES_TOO_LONG_TEXT", Fail.MESSAGE_PERMANENT),
        ("MESSAGE_CONTENT_TYPE_UNDEFINED", Fail.MESSAGE_PERMANENT),
        ("MESSAGE_NOTHING_TO_SEND", Fail.MESSAGE_PERMANENT),
        ("INVALID_MESSAGE_DATA", Fail.MESSAGE_PERMANENT),
        ("VALIDATION_ERROR", Fail.MESSAGE_PERMANENT),
        ("TEMPLATE_REJECTED", Fail.MESSAGE_PERMANENT),
        ("MESSAGES_IS_SPAM", Fail.MESSAGE_PERMANENT),
        ("CHANNEL_NOT_FOUND", Fail.AUTH),
        ("CHANNEL_BLOCKED", Fail.AUTH),
        ("CHANNEL_WAPI_REJECTED", Fail.AUTH),
        ("MESSAGES_NOT_TEXT_FIRST", Fail.AUTH),
        ("CHANNEL_NO_MONEY", Fail.BALANCE),
        ("BALANCE_IS_EMPTY", Fail.BALANCE),
        ("NOTENOUGHMONEY", Fail.BALANCE),
        ("CHANNEL_LIMIT_EXCEEDED", Fail.BALANCE),
        ("MESSAGE_CHANNEL_UNAVAILABLE", Fail.TRANSIENT),
        ("MESSAGES_CAN_NOT_ADD", Fail.TRANSIENT),
        ("UNKNOWN_ERROR", Fail.OUTCOME_UNKNOWN),
    ],
)
def test_errors_in_either_case(code: str, means: Fail) -> None:
    for spelled in (code, code.lower()):
        assert refusal(whatsapp, said(f'{{"status":400,"error":"{spelled}"}}', 400)) is means


@pytest.mark.parametrize(
    ("state", "means"),
    [
        *((word, Fail.AUTH) for word in ("disabled", "phoneUnavailable", "qr", "openElsewhere", "foreignphone")),
        *((word, Fail.AUTH) for word in ("unauthorized", "waitForPassword", "onModeration", "rejected", "qridle")),
        ("waitForCode", Fail.AUTH),
        ("notEnoughMoney", Fail.BALANCE),
        ("init", Fail.TRANSIENT),
        ("active", None),
    ],
)
def test_states_by_question_and_by_webhook(state: str, means: Fail | None) -> None:
    provider = whatsapp.provider()
    (call,) = provider.build_self_test()
    asked = said(f'[{{"channelId":"{CHANNEL}1","transport":"whatsapp","state":"{state}"}}]')
    assert provider.read_self_test(call, asked).failure is means
    (told,) = provider.read_callback(
        whatsapp.callback({"channelsUpdates": [{"channelId": f"{CHANNEL}1", "state": state}]})
    )
    assert told.failure is (None if means is Fail.TRANSIENT else means), "a channel that starts is not in trouble yet"
    assert told.of_account


def test_each_messenger_calls_a_person_in_its_own_way() -> None:
    def fields(contract: Wazzup, address: str) -> dict[str, str]:
        (call,) = contract.provider().build_send([contract.message(address=address)])
        body = dict(call.json)
        assert body.pop("channelId") == contract.config["channel_id"]
        assert body.pop("crmMessageId") == contract.message().ref
        assert body.pop("text")
        return body

    assert fields(whatsapp, "+79120000000") == {"chatType": "whatsapp", "chatId": "79120000000"}
    assert fields(viber, "+79120000000") == {"chatType": "viber", "chatId": "79120000000"}
    assert fields(telegram, "+79120000000") == {"chatType": "telegram", "phone": "79120000000"}
    assert fields(telegram, "555") == {"chatType": "telegram", "chatId": "555"}
    assert fields(maxed, "+79120000000") == {"chatType": "max", "phone": "79120000000"}
    assert fields(maxed, "555") == {"chatType": "max", "chatId": "555"}
    assert fields(avito, "u2i-555") == {"chatType": "avito", "chatId": "u2i-555"}


def test_channels_of_one_key_share_an_address_and_no_others_do() -> None:
    groups = {one.provider().callback_group for one in (whatsapp, telegram, maxed, viber, avito)}
    assert len(groups) == 1
    assert whatsapp.provider(api_key="another key").callback_group not in groups
    assert whatsapp.secrets[0] not in groups.pop()


def test_what_is_not_known_to_come_is_not_promised() -> None:
    assert Mile.DELIVERED in whatsapp.provider().capabilities.reports
    for contract in (telegram, maxed, viber):
        assert Mile.DELIVERED not in contract.provider().capabilities.reports
        assert Mile.READ in contract.provider().capabilities.reports
        assert Mile.READ not in contract.provider(tells_read=False).capabilities.reports
    assert not {Mile.DELIVERED, Mile.READ} & set(avito.provider().capabilities.reports)
    assert Mile.READ in avito.provider(tells_read=True).capabilities.reports


def test_a_message_is_taken_back_only_where_the_owner_has_tried_it() -> None:
    assert whatsapp.provider().build_recall(whatsapp.sent()) is None
    call = whatsapp.provider(recall_by_delete=True).build_recall(whatsapp.sent())
    assert (call.method, call.url.rpartition("/")[2]) == ("DELETE", whatsapp.sent().provider_message_id)


def test_the_account_s_channels_are_listed_for_who_has_not_chosen_one() -> None:
    provider = whatsapp.provider(channel_id="")
    (call,) = provider.build_self_test()
    report = provider.read_self_test(
        call, said(f'[{{"channelId":"{CHANNEL}1","transport":"whatsapp","plainId":"79"}}]')
    )
    assert f"whatsapp 79: {CHANNEL}1" in report.params["channels"]
