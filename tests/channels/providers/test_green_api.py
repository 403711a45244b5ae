"""GREEN-API: the battery, and what only GREEN-API has."""

from channels.providers.base import CallbackRequest
from tests.channels.providers.contract import CALLBACK_SECRET, ProviderContract


class TestGreenApiWhatsApp(ProviderContract):
    slug = "green_api_whatsapp"
    config = {"id_instance": "1101000001", "api_token": "d75b3a66374942c5b3c0canary"}
    secrets = ("d75b3a66374942c5b3c0canary",)
    unknown_status = {"typeWebhook": "outgoingMessageStatus", "idMessage": "3EB0", "status": "teleported"}

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        headers = {**request.headers, "authorization": f"Bearer {CALLBACK_SECRET}"}
        return CallbackRequest(request.method, request.query, headers, request.body)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        wrong = (CALLBACK_SECRET.lower(), CALLBACK_SECRET[:-1] + "8", CALLBACK_SECRET + "x", "", "é", "Bearer ")
        headers = [{"authorization": f"Bearer {each}"} for each in wrong] + [{"authorization": each} for each in wrong]
        return [CallbackRequest("POST", {}, each, request.body) for each in ({}, *headers)]

    def test_the_token_may_come_bare_bearer_or_basic(self):
        for prefix in ("", "Bearer ", "Basic "):
            self.provider().verify_callback(self.callback({}, headers={"authorization": f"{prefix}{CALLBACK_SECRET}"}))


contract = TestGreenApiWhatsApp()


def test_a_phone_becomes_a_chat():
    (call,) = contract.provider().build_send([contract.message()])
    assert call.json == {"chatId": "79120000000@c.us", "message": "Ждём вас завтра в 12:00"}
    assert call.url.endswith("/waInstance1101000001/sendMessage/d75b3a66374942c5b3c0canary")


def test_the_check_asks_with_a_number_and_leaves_out_what_is_none():
    calls = contract.provider().build_check(["+79120000000", "not a phone", "+٧٩"])
    assert [call.json for call in calls] == [{"phoneNumber": 79120000000}]


def test_receipts_are_switched_on_with_our_secret():
    call = contract.provider().build_callback_setup("https://x.example/hooks/1")
    assert call.json["webhookUrl"] == "https://x.example/hooks/1"
    assert call.json["webhookUrlToken"] == CALLBACK_SECRET
    assert {name for name, value in call.json.items() if value == "yes"} >= {"outgoingWebhook", "incomingWebhook"}
