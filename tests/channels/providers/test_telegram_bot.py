"""Telegram bots: the battery, and what only Telegram has."""

from channels.providers.base import Button, CallbackRequest, SentMessage
from tests.channels.providers.contract import CALLBACK_SECRET, REF, ProviderContract

TOKEN = "123456789:AAEcanary-token_0123456789"


class TestTelegramBot(ProviderContract):
    slug = "telegram_bot"
    config = {"token": TOKEN}
    secrets = (TOKEN, TOKEN.partition(":")[2])
    address = "123456789"

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        headers = {**request.headers, "x-telegram-bot-api-secret-token": CALLBACK_SECRET}
        return CallbackRequest(request.method, request.query, headers, request.body)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        wrong = (CALLBACK_SECRET.lower(), CALLBACK_SECRET[:-1] + "8", CALLBACK_SECRET + "x", "", "ё")
        headers = [{"x-telegram-bot-api-secret-token": each} for each in wrong]
        return [CallbackRequest("POST", {}, each, request.body) for each in ({}, *headers)]

    def recallable(self) -> SentMessage:
        return self.sent(provider_message_id="123456789:42")


contract = TestTelegramBot()


def test_a_message_is_plain_text_with_a_number_for_a_chat():
    (call,) = contract.provider().build_send([contract.message(text="<b>*_{x}")])
    assert call.json == {"chat_id": 123456789, "text": "<b>*_{x}", "link_preview_options": {"is_disabled": True}}


def test_buttons_stand_under_each_other():
    message = contract.message(buttons=(Button("Да", "yes:1"), Button("Карта", url="https://x.example/m")))
    (call,) = contract.provider().build_send([message])
    assert call.json["reply_markup"] == {
        "inline_keyboard": [
            [{"text": "Да", "callback_data": "yes:1"}],
            [{"text": "Карта", "url": "https://x.example/m"}],
        ]
    }


def test_a_message_is_taken_back_by_chat_and_number():
    call = contract.provider().build_recall(SentMessage(REF, "5", "5:42"))
    assert call.json == {"chat_id": 5, "message_id": 42}
    assert contract.provider().build_recall(SentMessage(REF, "5", "")) is None


def test_a_pressed_button_is_acknowledged_and_nothing_else_is():
    pressed = {"update_id": 5, "callback_query": {"id": "77", "from": {"id": 5}, "data": "x"}}
    (call,) = contract.provider().build_ack(contract.callback(pressed))
    assert call.json == {"callback_query_id": "77"}
    assert call.url.endswith("/answerCallbackQuery")
    assert contract.provider().build_ack(contract.callback({"update_id": 1, "message": {}})) == []


def test_the_webhook_asks_for_three_kinds_of_updates():
    call = contract.provider().build_callback_setup("https://x.example/h")
    assert call.json == {
        "url": "https://x.example/h",
        "secret_token": CALLBACK_SECRET,
        "allowed_updates": ["message", "callback_query", "my_chat_member"],
    }
