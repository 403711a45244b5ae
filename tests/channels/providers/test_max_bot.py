"""MAX bots: the battery, every documented error, and what only MAX has."""

import pytest

from cascade.vocabulary import FailureClass as Fail
from channels.providers.base import Answer, Button, CallbackRequest, Failed, NoAnswer
from tests.channels.providers.contract import CALLBACK_SECRET, ProviderContract
from tests.channels.providers.test_documented import refusal, said

TOKEN = "f9LHodD0cOL5NY7canary-max-token_0123456789"


class TestMaxBot(ProviderContract):
    slug = "max_bot"
    config = {"token": TOKEN}
    secrets = (TOKEN,)
    address = "123456789"

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        headers = {**request.headers, "x-max-bot-api-secret": CALLBACK_SECRET}
        return CallbackRequest(request.method, request.query, headers, request.body)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        wrong = (CALLBACK_SECRET.lower(), CALLBACK_SECRET[:-1] + "8", CALLBACK_SECRET + "x", "", "ё")
        headers = [{"x-max-bot-api-secret": each} for each in wrong]
        return [CallbackRequest("POST", {}, each, request.body) for each in ({}, *headers)]


contract = TestMaxBot()


@pytest.mark.parametrize(
    ("status", "code", "message", "means"),
    [
        (403, "chat.denied", "error.dialog.suspended", Fail.RECIPIENT_PERMANENT),
        (404, "chat.not.found", "", Fail.RECIPIENT_PERMANENT),
        (400, "dialog.not.found", "", Fail.RECIPIENT_PERMANENT),
        (400, "proto.payload", "error.dialog.notfound", Fail.RECIPIENT_PERMANENT),
        (403, "access.denied", "", Fail.RECIPIENT_PERMANENT),
        (400, "proto.payload", "text: size must be between 0 and 4000", Fail.MESSAGE_PERMANENT),
        (400, "attachment.not.ready", "", Fail.TRANSIENT),
        (400, "errors.process.attachment.video.not.processed", "", Fail.TRANSIENT),
        (401, "verify.token", "Invalid access_token", Fail.AUTH),
        (401, "", "", Fail.AUTH),
        (429, "", "", Fail.RATE_LIMITED),
        (500, "internal.error", "", Fail.OUTCOME_UNKNOWN),
        (503, "service.unavailable", "", Fail.OUTCOME_UNKNOWN),
    ],
)
def test_documented_errors_in_any_case(status: int, code: str, message: str, means: Fail) -> None:
    for first, second in ((code, message), (code.upper(), message.upper())):
        assert refusal(contract, said(f'{{"code":"{first}","message":"{second}"}}', status)) is means


def test_what_may_be_the_bot_s_own_trouble_writes_nobody_off() -> None:
    """error.dialog.suspended also comes for everybody, from a bot that has not passed moderation."""
    provider = contract.provider()
    (call,) = provider.build_send([contract.message()])
    (result,) = provider.read_send(call, said('{"code":"chat.denied","message":"error.dialog.suspended"}', 403))
    assert isinstance(result, Failed)
    assert result.reason == "recipient_refused"


def test_a_certificate_nobody_trusts_is_the_owner_s_to_mend_and_no_retry_does() -> None:
    assert refusal(contract, Answer(no_answer=NoAnswer.NOT_SENT, untrusted=True)) is Fail.AUTH


def test_a_message_is_plain_text_by_user_id_with_the_bare_token_in_a_header() -> None:
    (call,) = contract.provider().build_send([contract.message(text="<b>*_{x}")])
    assert call.json == {"text": "<b>*_{x}", "notify": True}
    assert call.url.endswith("/messages")
    assert call.query == {"user_id": "123456789", "disable_link_preview": "true"}
    assert call.headers == {"Authorization": TOKEN}
    (call,) = contract.provider(link_previews=True).build_send([contract.message()])
    assert call.query == {"user_id": "123456789"}


def test_buttons_stand_under_each_other() -> None:
    message = contract.message(buttons=(Button("Да", "yes:1"), Button("Карта", url="https://x.example/m")))
    (call,) = contract.provider().build_send([message])
    (keyboard,) = call.json["attachments"]
    assert keyboard == {
        "type": "inline_keyboard",
        "payload": {
            "buttons": [
                [{"type": "callback", "text": "Да", "payload": "yes:1"}],
                [{"type": "link", "text": "Карта", "url": "https://x.example/m"}],
            ]
        },
    }


def test_pressed_buttons_are_answered_and_nothing_else_is() -> None:
    provider = contract.provider(pressed_answer="Спасибо!")
    pressed = {"update_type": "message_callback", "callback": {"callback_id": "77", "user": {"user_id": 5}}}
    (call,) = provider.build_ack(contract.callback(pressed))
    assert (call.query, call.json) == ({"callback_id": "77"}, {"notification": "Спасибо!"})
    assert provider.build_ack(contract.callback({"update_type": "bot_started"})) == []
    assert provider.build_ack(contract.callback({}, body=b"no")) == []


def test_the_subscription_asks_for_what_we_read_with_our_secret() -> None:
    call = contract.provider().build_callback_setup("https://x.example/h")
    assert call.json == {
        "url": "https://x.example/h",
        "update_types": ["message_created", "message_callback", "bot_started", "bot_stopped", "dialog_removed"],
        "secret": CALLBACK_SECRET,
    }


def test_a_message_is_taken_back_by_its_mid() -> None:
    call = contract.provider().build_recall(contract.sent(provider_message_id="mid.1"))
    assert (call.method, call.query) == ("DELETE", {"message_id": "mid.1"})
