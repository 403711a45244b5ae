"""Asking for updates instead of being called: what each wire brings, where it goes on, what it says when it cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest

from channels.providers.base import Answer, HttpCall, NoAnswer, Provider, Pulled
from channels.providers.green_api import GreenApiWhatsApp
from channels.providers.green_api_max import GreenApiMax
from channels.providers.green_api_telegram import GreenApiTelegram
from tests.channels.providers.contract import make_provider

BOT = {"token": "123456789:AAEcanary-token_0123456789"}
GREEN = {"id_instance": "1101", "api_token": "canary"}


def telegram() -> Provider:
    return make_provider("telegram_bot", BOT)


def pull(adapter: Provider, cursor: str, body: Any, status: int = 200, **fields: Any) -> Pulled:
    call = adapter.build_pull(cursor)
    assert call is not None
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return adapter.read_pull(call, Answer(status=status, body=raw, **fields))


def message(number: int) -> dict[str, Any]:
    return {"update_id": number, "message": {"message_id": 1, "chat": {"id": 5, "type": "private"}, "text": "Да"}}


def test_telegram_goes_on_after_the_last_one_it_was_told() -> None:
    call = telegram().build_pull("")
    assert isinstance(call, HttpCall)
    assert call.json == {
        "limit": 20,
        "timeout": 0,
        "allowed_updates": ["message", "callback_query", "my_chat_member"],
    }
    told = pull(telegram(), "", {"ok": True, "result": [message(7), message(8)]})
    assert (told.cursor, told.more, told.acks) == ("9", False, ())
    assert [json.loads(one.body)["update_id"] for one in told.requests] == [7, 8]
    assert telegram().read_callback(told.requests[0])
    following = telegram().build_pull("9")
    assert isinstance(following, HttpCall)
    assert following.json["offset"] == 9
    assert pull(telegram(), "9", {"ok": True, "result": []}) == Pulled()
    assert pull(telegram(), "", {"ok": True, "result": [message(n) for n in range(20)]}).more


def test_telegram_asks_for_one_alone_where_twenty_do_not_fit_into_an_answer() -> None:
    cut = pull(telegram(), "9", b'{"ok":true', truncated=True)
    assert (cut.cursor, cut.more, cut.trouble) == ("9/1", True, None)
    alone = telegram().build_pull("9/1")
    assert isinstance(alone, HttpCall)
    assert (alone.json["offset"], alone.json["limit"]) == (9, 1)
    assert pull(telegram(), "9/1", {"ok": True, "result": [message(9)]}).cursor == "10"
    assert pull(telegram(), "9/1", b'{"ok":true', truncated=True).trouble, "one alone that does not fit is for a person"


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("Conflict: can't use getUpdates method while webhook is active", "Connect receipts"),
        ("Conflict: terminated by other getUpdates request", "Stop the other one"),
        ("Unauthorized", "BotFather"),
    ],
)
def test_telegram_says_what_to_do_when_it_cannot_be_asked(words: str, advice: str) -> None:
    told = pull(telegram(), "9", {"ok": False, "error_code": 409, "description": words}, status=409)
    assert told.trouble is not None
    assert advice in told.trouble.message
    assert (told.cursor, told.requests) == (None, ())


def test_max_goes_on_from_the_marker() -> None:
    adapter = make_provider("max_bot", {"token": "canary"})
    update = {"update_type": "bot_started", "timestamp": 1, "user": {"user_id": 5}}
    told = pull(adapter, "", {"updates": [update], "marker": 41})
    assert (told.cursor, told.more) == ("41", False)
    assert adapter.read_callback(told.requests[0])
    call = adapter.build_pull("41")
    assert isinstance(call, HttpCall)
    assert (call.method, call.query) == ("GET", {"limit": "20", "timeout": "0", "marker": "41"})
    assert pull(adapter, "41", {"updates": [], "marker": None}) == Pulled()
    assert pull(adapter, "41", {"code": "verify.token", "message": "x"}, status=401).trouble


@pytest.mark.parametrize("product", [GreenApiWhatsApp, GreenApiMax, GreenApiTelegram])
def test_green_api_deletes_what_was_told_and_asks_on(product: type[Provider]) -> None:
    adapter = make_provider(product.slug, GREEN)
    body = {"typeWebhook": "stateInstanceChanged", "stateInstance": "authorized", "timestamp": 1}
    told = pull(adapter, "", {"receiptId": 17, "body": body})
    (done,) = told.acks
    assert isinstance(done, HttpCall)
    assert done.method == "DELETE"
    assert done.url.endswith("/deleteNotification/canary/17")
    assert told.more
    assert json.loads(told.requests[0].body) == body
    for nothing in (b"", b"null"):
        assert pull(adapter, "", nothing) == Pulled()
    assert pull(adapter, "", {"receiptId": "../x", "body": body}).trouble, "no path of a stranger's making"
    setup = adapter.build_pull_setup("https://x.example/h")
    assert isinstance(setup, HttpCall)
    assert (setup.json["webhookUrl"], setup.json["incomingWebhook"]) == ("", "yes")


def test_no_answer_is_trouble_and_moves_nothing() -> None:
    for slug, config in (("telegram_bot", BOT), ("max_bot", {"token": "x"}), ("green_api_max", GREEN)):
        told = pull(make_provider(slug, config), "7", b"", status=0, no_answer=NoAnswer.NOT_SENT, detail="refused")
        assert told.trouble is not None
        assert told.cursor is None
