"""Behaviours by the last two digits (reliability.md 3.1), rules that overrule them, and what follows from a send."""

from __future__ import annotations

import json
import socket
from collections import Counter

import pytest

from emulator.behaviours import BY_DIGITS, BY_NAME, TAKEN
from tests.emulator.conftest import Emulated, Inbox, Seen, until

#: digits -> (what the sender sees on GREEN-API, whether the provider has the message)
ANSWERS: dict[str, tuple[int | str, bool]] = {
    "00": (200, True),
    "01": (200, True),
    "02": (500, False),
    "03": (400, False),
    "04": (429, False),
    "05": ("broken", True),
    "06": ("broken", False),
    "07": ("broken", False),  # silence, longer than this client's patience
    "08": ("dripping", True),  # one byte a second
    "09": (200, False),
    "10": (200, False),
    "11": (401, False),
    "12": (466, False),
    "13": (200, True),
    "14": (200, True),
    "15": (200, True),
    "16": (200, True),
    "17": (200, True),
    "18": (200, True),
    "19": (200, True),
    "20": (200, True),
    "21": (200, True),
    "22": (200, True),
    "23": (200, True),
    "24": (200, True),
    "25": (302, False),
}


def seen(answer: Seen) -> int | str:
    return "broken" if answer.broken else answer.status


def drip(emulator: Emulated, recipient: str) -> str:
    """What half a second of a byte a second looks like."""
    body = json.dumps({"chatId": f"{recipient}@c.us", "message": "x"}).encode()
    head = f"POST /green/waInstance1101/sendMessage/t HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=5) as sock:
        sock.sendall(head.encode() + body)
        return "dripping" if sock.recv(100) == b"H" else "not dripping"


@pytest.mark.parametrize(("digits", "expected"), ANSWERS.items())
def test_every_pair_of_digits(emulator: Emulated, digits: str, expected: tuple[int | str, bool]) -> None:
    before = emulator.last
    answer = drip(emulator, f"791200000{digits}") if digits == "08" else seen(emulator.green(f"791200000{digits}"))
    (request,) = emulator.since(before, "request")
    assert (answer, request["accepted"]) == expected
    assert request["behaviour"] == BY_DIGITS[digits].name


def test_the_table_is_the_catalogue_s() -> None:
    assert sorted(ANSWERS) == sorted(BY_DIGITS)
    assert {digits for digits, one in BY_DIGITS.items() if one.answer in TAKEN} == {
        digits for digits, (_, taken) in ANSWERS.items() if taken
    }
    assert all(BY_NAME[one.name] == one for one in BY_DIGITS.values())


@pytest.mark.parametrize(
    ("digits", "length", "whole"), [("09", 50, False), ("23", 20, False), ("24", 10_000_000, True), ("10", 20, True)]
)
def test_bodies_that_are_none(emulator: Emulated, digits: str, length: int, whole: bool) -> None:
    body = emulator.green(f"791200000{digits}").body
    assert len(body) >= length
    try:
        json.loads(body)
        readable = True
    except ValueError:
        readable = False
    assert readable is whole


@pytest.mark.parametrize(
    ("digits", "story"),
    [
        ("00", ["sent", "delivered"]),
        ("14", ["read", "read", "delivered", "delivered", "sent", "sent"]),
        ("20", ["read"]),
        ("21", ["failed", "delivered"]),
        ("22", ["delivered", "failed"]),
        ("17", ["sent", "delivered", "inbound:Спасибо, приду!"]),
        ("18", ["sent", "delivered", "inbound:СТОП"]),
    ],
)
def test_what_is_told_back_and_in_which_order(emulator: Emulated, inbox: Inbox, digits: str, story: list[str]) -> None:
    emulator.tell("callback_target", provider="green", account="*", url=inbox.url)
    emulator.green(f"791200000{digits}")
    told = [json.loads(hook["body"]) for hook in inbox.wait_for(len(story))]
    found = [
        one["status"]
        if one["typeWebhook"] == "outgoingMessageStatus"
        else "inbound:" + one["messageData"]["textMessageData"]["textMessage"]
        for one in told
    ]
    assert found == story


def test_a_receipt_may_come_before_the_answer(emulator: Emulated, inbox: Inbox) -> None:
    emulator.tell("callback_target", provider="green", account="*", url=inbox.url)
    before = emulator.last
    assert emulator.green("79120000013").status == 200
    kinds = [r["kind"] for r in emulator.since(before)]
    assert kinds.index("callback") < kinds.index("answered")


def test_the_person_follows_the_link(emulator: Emulated, inbox: Inbox) -> None:
    emulator.green("79120000019", f"Вот: {inbox.url}/l/1, ждём.")
    click, shown = inbox.wait_for(2)
    assert (click["method"], click["path"]) == ("GET", "/hook/l/1")
    assert "Mozilla" in click["headers"]["user-agent"]
    # Answered by a page and not led on: its script says that it is shown.
    assert (shown["method"], shown["path"]) == ("POST", "/hook/l/1")


def test_rules_by_recipient_overrule_digits_and_digits_overrule_the_default(emulator: Emulated) -> None:
    emulator.tell("rules", provider="green", behaviour="refused")
    assert emulator.green("79120000000").status == 200, "digits"
    assert emulator.green("79120000077").status == 400, "no behaviour has these digits: the default"
    emulator.tell("rules", provider="green", recipients=["79120000000"], behaviour="blocked")
    assert emulator.green("79120000000").body == b"bad request data"
    emulator.tell("rules", digits=False)
    assert emulator.green("79120000002").status == 400
    emulator.tell("rules", provider="*", recipient="+79120000002", behaviour="delivered")
    assert emulator.green("79120000002").status == 200, "a rule for every provider"


def test_a_rule_for_some_times_then_the_next(emulator: Emulated) -> None:
    emulator.tell("rules", provider="smsc", recipient="79120000000", behaviour="delivered")
    emulator.tell("rules", provider="smsc", recipient="79120000000", behaviour="no_balance", times=2)
    codes = [emulator.smsc("79120000000").json.get("error_code", 0) for _ in range(4)]
    assert codes == [3, 3, 0, 0]


def test_a_script_of_steps(emulator: Emulated, inbox: Inbox) -> None:
    emulator.tell("callback_target", provider="green", account="*", url=inbox.url)
    steps = [{"after": 0.1, "status": "delivered"}, {"after": 0.2, "status": "reply", "text": "Ок"}]
    emulator.tell("rules", provider="green", recipient="79120000000", steps=steps)
    emulator.green("79120000000")
    told = [json.loads(hook["body"])["typeWebhook"] for hook in inbox.wait_for(2)]
    assert told == ["outgoingMessageStatus", "incomingMessageReceived"]


def test_callbacks_are_tried_again_until_they_are_taken(emulator: Emulated, inbox: Inbox) -> None:
    inbox.answers[:] = [500, 403, 200]
    emulator.tell("callback_target", provider="green", account="*", url=inbox.url)
    before = emulator.last
    emulator.green("79120000020")
    until(lambda: len(emulator.since(before, "callback")) >= 3)
    tries = [(r["code"], r["attempt"]) for r in emulator.since(before, "callback")]
    assert tries == [(500, 1), (403, 2), (200, 3)]
    assert len({hook["body"] for hook in inbox.got}) == 1, "the same event, word for word"


def test_a_callback_nobody_takes_is_given_up_and_named(emulator: Emulated) -> None:
    emulator.tell("callback_target", provider="green", account="*", url="http://127.0.0.1:9/nobody")
    before = emulator.last
    emulator.green("79120000020")
    until(lambda: len(emulator.since(before, "callback")) >= 6)
    assert [r["code"] for r in emulator.since(before, "callback")] == [0] * 6
    assert emulator.journal.undelivered_callbacks()[-1]["attempt"] == 6


def test_a_rate_is_kept_by_telling_when_to_come_again(emulator: Emulated) -> None:
    """A token bucket of one second's worth; whoever comes inside a declared Retry-After is written down as such."""
    emulator.tell("accounts", provider="green", account="*", rate=5)
    before = emulator.last
    answers = [emulator.green("79120000000") for _ in range(8)]
    assert Counter(answer.status for answer in answers) == {200: 5, 429: 3}
    assert answers[-1].headers["retry-after"] == "2"
    limited = emulator.since(before, "limited")
    assert [r["inside"] for r in limited] == [False, True, True]


def test_money_runs_out_and_is_charged_when_it_was_agreed(emulator: Emulated) -> None:
    emulator.tell("accounts", provider="green", account="1101", balance="5.00", price="2.60", charged_on="delivered")
    before = emulator.last
    emulator.green("79120000001")  # never arrives: costs nothing
    emulator.green("79120000000")
    until(lambda: emulator.since(before, "charge"))
    (charge,) = emulator.since(before, "charge")
    assert (charge["amount"], charge["recipient"]) == ("2.60", "79120000000")
    assert emulator.green("79120000000").status == 466, "2.40 are left"


def test_ttl_is_honoured_where_asked(emulator: Emulated) -> None:
    emulator.tell("accounts", provider="smsc", account="*", honour_ttl=True)
    steps = [{"after": 120, "status": "delivered"}]
    emulator.tell("rules", provider="smsc", recipient="79120000000", steps=steps)
    emulator.smsc("79120000000", id="late", valid="00:01")
    until(lambda: emulator.status("late", "79120000000").json["status"] == 3)


def test_a_status_question_may_come_too_early(emulator: Emulated) -> None:
    """P13: not found in the first seconds is not failure."""
    emulator.tell("accounts", provider="smsc", account="*", poll_lag=60.0)
    emulator.smsc("79120000000", id="young")
    assert emulator.status("young", "79120000000").json["status"] == -3
    until(lambda: emulator.status("young", "79120000000").json["status"] == 1)


def test_a_recalled_message_is_never_delivered(emulator: Emulated) -> None:
    emulator.smsc("79120000001", id="back")
    emulator.status("back", "79120000001", **{"del": "1"})
    emulator.tell("status", provider="smsc", recipient="79120000001", status="delivered")
    assert emulator.status("back", "79120000001").json["status"] == -1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("rules", {"behaviour": "teleported"}),
        ("rules", {"steps": [{"after": "soon", "status": "read"}]}),
        ("accounts", {"provider": "smsc", "speed": 1}),
        ("accounts", {"account": "x"}),
        ("faults", {"fault": "earthquake"}),
        ("status", {"provider": "smsc", "recipient": "79120000000", "status": "delivered"}),
        ("receipt", {"provider": "telegram", "recipient": "1", "id": "1", "status": "delivered"}),
        ("kill", {"pids": [1]}),
        ("kill", {"pids": ["me"]}),
    ],
)
def test_nonsense_is_refused_with_the_reason(emulator: Emulated, path: str, body: dict[str, object]) -> None:
    answer = emulator.call("POST", f"/_emulator/{path}", body)
    assert answer.status == 400
    assert answer.json["error"]


def test_what_is_not_there_is_not_there(emulator: Emulated) -> None:
    assert emulator.call("POST", "/_emulator/teleport", {}).status == 404
    assert emulator.call("POST", "/viber/send", {}).status == 404
    assert emulator.call("GET", "/_emulator/ready").json == {"ok": True}
