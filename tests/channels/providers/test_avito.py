"""Avito: the battery, and what only its wire has."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from channels.providers.base import Answer, CallbackRequest, Failed, NoAnswer
from tests.channels.providers.contract import ACCESS_TOKEN, NOW, ProviderContract

SECRET = "canary-avito-client-secret-0123456789"


class TestAvito(ProviderContract):
    slug = "avito"
    config = {"client_id": "canary-id", "client_secret": SECRET, "user_id": "94235311"}
    secrets = (SECRET,)
    address = "u2i-~Dq1abc"

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        address = self.provider().build_callback_setup("https://example.org/hooks/1/x/").json["url"]
        return replace(request, query={**request.query, **dict(parse_qsl(urlsplit(address).query))})

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        key = request.query["key"]
        wrong = ("0" if key[0] != "0" else "1") + key[1:]
        queries = [{"key": each} for each in (wrong, key[:-1], key + "0", key.upper(), "")]
        return [replace(request, query=query) for query in [*queries, {}] if query != request.query]


contract = TestAvito()


def test_a_message_goes_into_the_person_s_chat_with_the_token_of_the_day() -> None:
    (call,) = contract.provider().build_send([contract.message(address="u2i-~a/b", text="Да")])
    assert call.url == "http://provider.invalid/api/messenger/v1/accounts/94235311/chats/u2i-~a%2Fb/messages"
    assert call.json == {"message": {"text": "Да"}, "type": "text"}
    assert call.headers == {"Authorization": f"Bearer {ACCESS_TOKEN}"}


def test_the_token_is_asked_for_with_the_keys_in_the_body_and_not_in_the_address() -> None:
    call = contract.provider().build_token(NOW)
    assert (call.method, call.url, dict(call.query)) == ("POST", "http://provider.invalid/api/token", {})
    assert call.form == {"grant_type": "client_credentials", "client_id": "canary-id", "client_secret": SECRET}
    found = contract.provider().read_token(call, Answer(no_answer=NoAnswer.MAYBE_SENT))
    assert isinstance(found, Failed)
    assert found.failure == "transient", "no message was sent: nothing is in doubt"
