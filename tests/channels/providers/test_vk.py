"""VK: the battery, every documented error, and what only VK has."""

import json
from dataclasses import replace

import pytest

from cascade.vocabulary import FailureClass as Fail
from channels.providers.base import Answer, Button, CallbackRequest, SentMessage
from channels.providers.vk import random_id
from tests.channels.providers.contract import REF, ProviderContract
from tests.channels.providers.test_documented import refusal, said

TOKEN = "vk1.a.canary-community-key-0123456789"
SECRET = "canary-vk-secret-Aa09"


class TestVk(ProviderContract):
    slug = "vk"
    config = {"token": TOKEN, "group_id": "7", "secret_key": SECRET, "confirmation": "canary-confirm"}
    secrets = (TOKEN, SECRET)
    address = "12345"

    def sent(self, ref: str = REF, **changes: object) -> SentMessage:
        return super().sent(ref, **{"provider_message_id": "777", **changes})

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        body = {**json.loads(request.body), "secret": SECRET}
        return replace(request, body=json.dumps(body).encode())

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        body = json.loads(request.body)
        wrong = (SECRET.lower(), SECRET[:-1] + "8", SECRET + "x", "", "ё", None, [SECRET], {"a": SECRET})
        bodies = [{**body, "secret": each} for each in wrong]
        del body["secret"]
        return [replace(request, body=json.dumps(each).encode()) for each in (body, *bodies)]


contract = TestVk()

PERSON = (900, 901, 902, 18, 37, 3610, 113, 936, 950, 987, 988, 939)
TEXT = (943, 944, 100, 910, 911, 914)
ACCOUNT = (912, 5, 27, 28, 1116, 1117, 7, 15, 203, 42, 14)


@pytest.mark.parametrize(
    ("code", "means"),
    [
        *((code, Fail.RECIPIENT_PERMANENT) for code in PERSON),
        *((code, Fail.MESSAGE_PERMANENT) for code in TEXT),
        *((code, Fail.AUTH) for code in ACCOUNT),
        *((code, Fail.RATE_LIMITED) for code in (6, 9, 29)),
        *((code, Fail.OUTCOME_UNKNOWN) for code in (1, 10, 13, 43)),
    ],
)
def test_documented_errors_of_the_call_and_of_one_person(code: int, means: Fail) -> None:
    assert refusal(contract, said(json.dumps({"error": {"error_code": code, "error_msg": "x"}}))) is means
    row = {"peer_id": 12345, "error": {"code": code, "description": "x"}}
    assert refusal(contract, said(json.dumps({"response": [row]}))) is means


def test_R8_every_try_of_a_step_has_one_random_id_and_no_two_steps_share_one() -> None:
    provider = contract.provider()
    first, other = contract.message(), contract.message("Z" * 22)
    again = contract.message("Y" * 22, repeats=first.ref)
    numbers = [call.form["random_id"] for call in provider.build_send([first, again, other])]
    assert numbers[0] == numbers[1] != numbers[2]
    assert all(0 < int(number) < 2**63 for number in numbers)
    assert len({random_id(str(number)) for number in range(10_000)}) == 10_000


def test_buttons_stand_under_each_other_in_a_keyboard_of_the_message() -> None:
    message = contract.message(buttons=(Button("Да", "yes:1"), Button("Карта", url="https://x.example/m")))
    (call,) = contract.provider().build_send([message])
    assert call.form["access_token"] == TOKEN
    assert json.loads(call.form["keyboard"]) == {
        "inline": True,
        "buttons": [
            [{"action": {"type": "callback", "label": "Да", "payload": '{"c": "yes:1"}'}}],
            [{"action": {"type": "open_link", "label": "Карта", "link": "https://x.example/m"}}],
        ],
    }
    (call,) = contract.provider().build_send([contract.message()])
    assert "keyboard" not in call.form


def test_pressed_buttons_are_answered_and_nothing_else_is() -> None:
    provider = contract.provider(pressed_answer="Спасибо!")
    about = {"user_id": 5, "peer_id": 5, "event_id": "p1", "payload": {}}
    (call,) = provider.build_ack(contract.callback({"type": "message_event", "group_id": 7, "object": about}))
    assert (call.form["event_id"], call.form["user_id"]) == ("p1", "5")
    assert json.loads(call.form["event_data"]) == {"type": "show_snackbar", "text": "Спасибо!"}
    assert provider.build_ack(contract.callback({"type": "message_new", "object": about})) == []
    assert provider.build_ack(contract.callback({}, body=b"no")) == []


def test_the_confirmation_string_is_for_this_community_and_everything_else_hears_ok() -> None:
    provider = contract.provider()
    asked = contract.callback({"type": "confirmation", "group_id": 7})
    assert provider.callback_reply(asked) == (200, "canary-confirm")
    assert provider.callback_reply(contract.callback({"type": "message_new", "group_id": 7})) == (200, "ok")
    assert provider.callback_reply(contract.callback({"type": "confirmation", "group_id": 8})) == (200, "ok")


def test_a_conversation_is_asked_for_once_and_answers_for_all_its_messages() -> None:
    provider = contract.provider()
    refs = [f"{REF[:-4]}{number:04d}" for number in range(3)]
    sent = [contract.sent(ref, provider_message_id=str(700 + number)) for number, ref in enumerate(refs)]
    (call,) = provider.build_poll(sent)
    assert call.form["peer_ids"] == "12345"
    answer = Answer(200, body=json.dumps({"response": {"items": [{"peer": {"id": 12345}, "out_read": 701}]}}).encode())
    assert [report.ref for report in provider.read_poll(call, answer)] == refs[:2]


PLACE = {"server": "https://lp.vk.com/wh7", "key": "k1", "ts": "5"}


def test_news_are_asked_for_where_vk_says_and_from_where_we_were() -> None:
    provider = contract.provider()
    first = provider.build_pull("")
    assert first.url.endswith("/groups.getLongPollServer")
    placed = provider.read_pull(first, said(json.dumps({"response": PLACE})))
    assert (json.loads(placed.cursor), placed.more) == (PLACE, True)
    question = provider.build_pull(placed.cursor)
    assert question.url == "https://lp.vk.com/wh7"
    assert question.query == {"act": "a_check", "key": "k1", "ts": "5", "wait": "1"}
    denied = {"type": "message_deny", "group_id": 7, "event_id": "e1", "object": {"user_id": 5}}
    news = provider.read_pull(question, said(json.dumps({"ts": "6", "updates": [denied]})))
    assert json.loads(news.cursor) == {**PLACE, "ts": "6"}
    assert [provider.read_callback(one)[0].address for one in news.requests] == ["5"]
    nothing = provider.read_pull(question, said(json.dumps({"ts": "5", "updates": []})))
    assert (nothing.requests, nothing.cursor, nothing.more) == ((), None, False)


@pytest.mark.parametrize(
    ("failed", "cursor"),
    [
        ({"failed": 1, "ts": 9}, {**PLACE, "ts": "9"}),  # some news are gone
        ({"failed": 2}, {"ts": "5"}),  # an old key: a new one, from the same place
        ({"failed": 3}, None),  # all is lost: from now on
    ],
)
def test_a_place_that_is_no_longer_good_is_asked_for_anew(
    failed: dict[str, int], cursor: dict[str, str] | None
) -> None:
    provider = contract.provider()
    told = provider.read_pull(provider.build_pull(json.dumps(PLACE)), said(json.dumps(failed)))
    assert told.trouble is None
    assert (json.loads(told.cursor) if told.cursor else None) == cursor
    again = provider.build_pull(told.cursor)
    assert again.url.endswith("getLongPollServer") is (failed["failed"] != 1)
    if failed["failed"] == 2:
        kept = provider.read_pull(again, said(json.dumps({"response": {**PLACE, "key": "k2", "ts": "99"}})))
        assert json.loads(kept.cursor) == {**PLACE, "key": "k2"}


@pytest.mark.parametrize(
    "server",
    ["http://lp.vk.com/x", "https://evil.example/x", "https://lp.vk.com.evil.example/x", "https://evilvk.com/", ""],
)
def test_news_are_asked_of_vk_alone(server: str) -> None:
    provider = contract.provider()
    told = said(json.dumps({"response": {**PLACE, "server": server}}))
    assert provider.read_pull(provider.build_pull(""), told).trouble is not None
    assert provider.build_pull(json.dumps({**PLACE, "server": server})).url.endswith("getLongPollServer")


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [({}, False), ({"group_id": "club7"}, True), ({"group_id": "-7"}, True), ({"secret_key": ""}, True)],
)
def test_settings_that_cannot_work_are_told_when_they_are_saved(changes: dict[str, str], wrong: bool) -> None:
    assert bool(contract.provider(**changes).problem()) is wrong
