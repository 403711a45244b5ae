"""The four wire formats, key by key, as the providers' pages show them. What the pages do not know is not tested."""

from __future__ import annotations

import hashlib
import json
import smtplib
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.emulator.conftest import Emulated, Inbox, until


def shape(value: Any) -> Any:
    """Names and kinds without values: what two answers of one method have in common."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


# ---------------------------------------------------------------- SMSC


def test_smsc_send_and_its_errors(emulator: Emulated) -> None:
    assert shape(emulator.smsc("79120000000", id="7").json) == {"id": "str", "cnt": "int"}
    emulator.tell("accounts", provider="smsc", account="k", balance="10.00", price="2.50")
    answer = emulator.smsc("79120000000", "x" * 71, cost="3", id="AbC.9-_").json
    assert shape(answer) == {"id": "str", "cnt": "int", "cost": "str", "balance": "str"}
    assert (answer["id"], answer["cnt"], answer["cost"], answer["balance"]) == ("AbC.9-_", 1, "2.50", "7.50")
    russian = emulator.smsc("79120000000", "я" * 71, cost="3").json
    assert (russian["cnt"], russian["cost"]) == (2, "5.00")
    assert emulator.smsc("79120000000", "я" * 71, id="8").json == {"error": "no money", "error_code": 3, "id": "8"}
    assert emulator.smsc("79120000003").json["error_code"] == 7
    assert emulator.smsc("79120000011").json == {"error": "authorise error", "error_code": 2}
    assert emulator.smsc("79120000000", "").json["error_code"] == 1


def test_smsc_list_with_a_verdict_for_each_number(emulator: Emulated) -> None:
    answer = emulator.smsc("", list="+79120000000:раз\n+79120000003:два", op="1", id="b.1").json
    assert answer["cnt"] == 2
    assert [(row["phone"], row["error"]) for row in answer["phones"]] == [("79120000000", ""), ("79120000003", "8")]


def test_smsc_windows_1251_unless_told_otherwise(emulator: Emulated) -> None:
    before = emulator.last
    body = b"apikey=k&fmt=3&phones=%2B79120000000&mes=%CF%F0%E8%E2%E5%F2"
    emulator.call("POST", "/smsc/sys/send.php", body)
    assert emulator.since(before, "request")[0]["text"] == "Привет"


def test_smsc_status_is_a_list_with_a_trailing_comma_and_an_object_without(emulator: Emulated) -> None:
    emulator.smsc("79120000000", id="one")
    emulator.smsc("79120000001", id="two")
    until(lambda: emulator.status("one", "79120000000").json["status"] == 1)
    single = emulator.status("one", "79120000000").json
    assert shape(single) == {"status": "int", "last_date": "str", "last_timestamp": "int"}
    listed = emulator.status("two,one,three,", "79120000001,79120000000,79120000000,").json
    assert [row["status"] for row in listed] == [-1, 1, -3]
    assert len(emulator.status("one,", "79120000000,").json) == 1
    emulator.tell("status", provider="smsc", recipient="79120000001", status="expired")
    assert emulator.status("two", "79120000001").json | {"last_date": "", "last_timestamp": 0} == {
        "status": 3,
        "err": 6,
        "last_date": "",
        "last_timestamp": 0,
    }


def test_smsc_balance_and_a_wrong_key(emulator: Emulated) -> None:
    emulator.tell("accounts", provider="smsc", account="k", balance="99.90")
    assert emulator.call("POST", "/smsc/sys/balance.php", b"apikey=k&fmt=3").json == {"balance": "99.90"}
    assert emulator.call("POST", "/smsc/sys/balance.php", b"fmt=3").json["error_code"] == 2


@pytest.mark.parametrize("style", ["form", "json", "get"])
def test_smsc_callbacks_are_signed_over_id_phone_status_secret(emulator: Emulated, inbox: Inbox, style: str) -> None:
    emulator.tell("callback_target", provider="smsc", account="*", url=inbox.url, secret="s3", style=style)
    emulator.smsc("79120000000", id="m1")
    got = inbox.wait_for(2)[1]
    fields = (
        json.loads(got["body"])
        if style == "json"
        else dict(parse_qsl(got["path"].partition("?")[2] if style == "get" else got["body"].decode()))
    )
    assert set(fields) == {"id", "phone", "status", "time", "ts", "err", "cnt", "type", "md5", "sha1"}
    signed = f"m1:79120000000:{fields['status']}:s3".encode()
    for name in ("md5", "sha1"):
        assert fields[name] == hashlib.new(name, signed, usedforsecurity=False).hexdigest()
    assert got["method"] == ("GET" if style == "get" else "POST")


# ---------------------------------------------------------------- Telegram


def test_telegram_answers(emulator: Emulated) -> None:
    result = {"message_id": "int", "chat": {"id": "int", "type": "str"}, "date": "int", "text": "str"}
    assert shape(emulator.telegram("1000").json) == {"ok": "bool", "result": result}
    limited = emulator.telegram("1004")
    assert limited.status == 429
    assert limited.json == {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 2",
        "parameters": {"retry_after": 2},
    }
    assert emulator.telegram("1003").json["description"] == "Bad Request: chat not found"
    assert emulator.telegram("1000", "x" * 4097).json["description"] == "Bad Request: message is too long"
    emulator.tell("accounts", provider="telegram", account="42:token", state="unauthorized")
    assert emulator.telegram("1000").status == 401
    assert emulator.call("POST", "/telegram/bot42:token/getMe", {}).status == 401
    assert emulator.call("POST", "/telegram/bot43:other/getMe", {}).json["result"]["is_bot"] is True


def test_telegram_updates_go_to_the_webhook_with_its_secret_or_wait(emulator: Emulated, inbox: Inbox) -> None:
    buttons = {"inline_keyboard": [[{"text": "Да", "callback_data": "c:1"}]]}
    sent = emulator.telegram("1001", reply_markup=buttons).json["result"]
    emulator.tell("inbound", provider="telegram", recipient="1001", text="СТОП")
    updates = until(lambda: emulator.call("POST", "/telegram/bot42:token/getUpdates", {}).json["result"])
    assert shape(updates[0]) == {
        "update_id": "int",
        "message": {
            "message_id": "int",
            "from": {"id": "int", "is_bot": "bool", "first_name": "str"},
            "chat": {"id": "int", "type": "str"},
            "date": "int",
            "text": "str",
        },
    }
    offset = updates[-1]["update_id"] + 1
    assert emulator.call("POST", "/telegram/bot42:token/getUpdates", {"offset": offset}).json["result"] == []

    webhook = {"url": inbox.url, "secret_token": "s-1", "allowed_updates": ["message"]}
    assert emulator.call("POST", "/telegram/bot42:token/setWebhook", webhook).json == {"ok": True, "result": True}
    assert emulator.call("POST", "/telegram/bot42:token/getUpdates", {}).status == 409
    emulator.tell("inbound", provider="telegram", recipient="1001", button="c:1")
    (pressed,) = inbox.wait_for(1)
    assert pressed["headers"]["x-telegram-bot-api-secret-token"] == "s-1"
    query = json.loads(pressed["body"])["callback_query"]
    assert (query["data"], query["message"]["message_id"]) == ("c:1", sent["message_id"])
    emulator.tell("block", provider="telegram", recipient="1001")
    change = json.loads(inbox.wait_for(2)[1]["body"])["my_chat_member"]
    assert (change["new_chat_member"]["status"], change["chat"]["type"]) == ("kicked", "private")
    assert emulator.telegram("1001").status == 403


def test_telegram_deletes_a_message_once(emulator: Emulated) -> None:
    number = emulator.telegram("1001").json["result"]["message_id"]
    delete = {"chat_id": 1001, "message_id": number}
    assert emulator.call("POST", "/telegram/bot42:token/deleteMessage", delete).json == {"ok": True, "result": True}
    assert emulator.call("POST", "/telegram/bot42:token/deleteMessage", delete).status == 400


# ---------------------------------------------------------------- GREEN-API


def path(method: str) -> str:
    return f"/green/waInstance1101/{method}/a-token"


def test_green_api_answers_in_its_four_forms(emulator: Emulated) -> None:
    assert shape(emulator.green("79120000000").json) == {"idMessage": "str"}
    refused = emulator.green("79120000003")
    assert (refused.status, refused.headers["content-type"]) == (400, "text/plain")
    assert refused.body.startswith(b"Validation failed")
    assert (emulator.green("79120000011").status, emulator.green("79120000011").body) == (401, b"")
    quota = emulator.green("79120000012")
    assert quota.status == 466
    assert shape(quota.json) == {"method": "str", "used": "int", "total": "int", "status": "str", "description": "str"}
    assert emulator.green("79120000010").json["status"] is False
    unknown = emulator.call("POST", "/green/sendMessage", {})
    assert (unknown.status, unknown.headers["content-type"]) == (404, "text/html")
    for state, words in (("starting", b"in starting process"), ("expired", b"expired"), ("deleted", b"deleted")):
        emulator.tell("accounts", provider="green", account="1101", state=state)
        assert words in emulator.green("79120000000").body


def test_green_api_webhook_key_by_key(emulator: Emulated, inbox: Inbox) -> None:
    settings = {"webhookUrl": inbox.url, "webhookUrlToken": "t0"}
    assert emulator.call("POST", path("setSettings"), settings).json == {"saveSettings": True}
    sent = emulator.green("79120000000").json["idMessage"]
    hooks = inbox.wait_for(2)
    assert {hook["headers"]["authorization"] for hook in hooks} == {"Bearer t0"}
    told = [json.loads(hook["body"]) for hook in hooks]
    assert [hook["status"] for hook in told] == ["sent", "delivered"]
    assert shape(told[0]) == {
        "typeWebhook": "str",
        "chatId": "str",
        "timestamp": "int",
        "instanceData": {"idInstance": "str", "wid": "str", "typeInstance": "str"},
        "idMessage": "str",
        "status": "str",
        "sendByApi": "bool",
    }
    assert told[0]["idMessage"] == sent
    emulator.tell("inbound", provider="green", recipient="79120000000", text="Спасибо")
    inbound = json.loads(inbox.wait_for(3)[2]["body"])
    assert inbound["typeWebhook"] == "incomingMessageReceived"
    assert inbound["senderData"]["chatId"] == "79120000000@c.us"
    assert inbound["messageData"] == {
        "typeMessage": "textMessage",
        "textMessageData": {"textMessage": "Спасибо"},
    }


def test_green_api_notifications_wait_in_a_queue_without_a_webhook(emulator: Emulated) -> None:
    assert emulator.call("GET", path("receiveNotification")).body == b"null"
    emulator.green("79120000000")
    first = until(lambda: emulator.call("GET", path("receiveNotification")).json)
    assert set(first) == {"receiptId", "body"}
    assert first["body"]["typeWebhook"] == "outgoingMessageStatus"
    done = emulator.call("DELETE", f"{path('deleteNotification')}/{first['receiptId']}")
    assert done.json == {"result": True}


def test_green_api_questions(emulator: Emulated) -> None:
    assert emulator.call("GET", path("getStateInstance")).json == {"stateInstance": "authorized"}
    emulator.tell("rules", provider="green", recipient="79120000077", behaviour="not_registered")
    for phone, there in ((79120000000, True), (79120000077, False)):
        assert emulator.call("POST", path("checkWhatsapp"), {"phoneNumber": phone}).json == {"existsWhatsapp": there}
    assert emulator.call("POST", path("checkWhatsapp"), {"phoneNumber": 5}).body == b"bad phone number"
    number = emulator.green("79120000020").json["idMessage"]
    asked = {"chatId": "79120000020@c.us", "idMessage": number}
    until(lambda: emulator.call("POST", path("getMessage"), asked).json.get("statusMessage") == "read")
    assert emulator.call("POST", path("deleteMessage"), asked).status == 200
    assert emulator.call("POST", path("getMessage"), {**asked, "idMessage": "no"}).status == 400
    emulator.tell("accounts", provider="green", account="1101", state="notAuthorized")
    answer = emulator.call("POST", path("checkWhatsapp"), {"phoneNumber": 79120000000})
    assert (answer.status, answer.json["status"]) == (200, False)


def test_green_api_keeps_its_queue_while_logged_out(emulator: Emulated) -> None:
    emulator.tell("accounts", provider="green", account="1101", state="notAuthorized")
    number = emulator.green("79120000000").json["idMessage"]
    asked = {"chatId": "79120000000@c.us", "idMessage": number}
    assert "statusMessage" not in emulator.call("POST", path("getMessage"), asked).json
    emulator.tell("accounts", provider="green", account="1101", state="authorized")
    until(lambda: emulator.call("POST", path("getMessage"), asked).json.get("statusMessage") == "delivered")


# ---------------------------------------------------------------- SMTP


def letter(emulator: Emulated, to: str, login: str = "") -> tuple[int, bytes]:
    """The reply that ended it: (code, words); (0, ...) where the connection broke."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Салон <a@shop.example>", to, "Привет"
    message["Message-ID"] = "<ref-1@shop.example>"
    message["List-Unsubscribe"] = "<https://shop.example/u/1>, <mailto:stop@shop.example>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("Ждём вас")
    message.add_alternative("<p>Ждём вас</p>", subtype="html")
    with smtplib.SMTP("127.0.0.1", emulator.smtp_port, timeout=5) as smtp:
        try:
            if login:
                smtp.login(login, "password")
            smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            return next(iter(error.recipients.values()))
        except smtplib.SMTPServerDisconnected as error:
            return 0, str(error).encode()
        except smtplib.SMTPResponseException as error:
            return error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
    return 250, b""


@pytest.mark.parametrize(
    ("digits", "code", "words"),
    [
        ("00", 250, b""),
        ("02", 451, b"4.3.0"),
        ("03", 550, b"5.1.1"),
        ("04", 450, b"4.7.1"),
        ("05", 0, b""),
        ("06", 0, b""),
        ("10", 554, b"5.7.1"),
        ("11", 530, b"5.7.0"),
        ("12", 552, b"5.2.2"),
        ("25", 551, b"5.1.6"),
    ],
)
def test_smtp_replies(emulator: Emulated, digits: str, code: int, words: bytes) -> None:
    got, said = letter(emulator, f"person{digits}@people.example")
    assert got == code
    assert words in said


def test_smtp_keeps_what_a_mail_program_acts_on(emulator: Emulated) -> None:
    before = emulator.last
    assert letter(emulator, "person00@people.example", login="hello")[0] == 250
    (request,) = emulator.since(before, "request")
    assert (request["ref"], request["text"], request["html"]) == ("ref-1", "Ждём вас", True)
    assert request["headers"]["subject"] == "Привет"
    assert request["headers"]["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    emulator.tell("accounts", provider="smtp", account="hello", state="unauthorized")
    assert letter(emulator, "person00@people.example", login="hello")[0] == 535


def test_smtp_one_click_posts_what_rfc_8058_says(emulator: Emulated, inbox: Inbox) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@shop.example", "person77@people.example", "x"
    message["List-Unsubscribe"] = f"<{inbox.url}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("x")
    emulator.tell("rules", provider="smtp", recipient="person77@people.example", behaviour="one_click")
    with smtplib.SMTP("127.0.0.1", emulator.smtp_port, timeout=5) as smtp:
        smtp.send_message(message)
    (posted,) = inbox.wait_for(1)
    assert (posted["method"], posted["body"]) == ("POST", b"List-Unsubscribe=One-Click")
    assert posted["headers"]["content-type"] == "application/x-www-form-urlencoded"
