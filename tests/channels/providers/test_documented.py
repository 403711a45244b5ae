"""Every code, word and state the providers' pages name (as read on 2026-11-22) means something to its adapter.

The lists are those of the pages, not of our tables: a code that fell out of a table goes red here. What is not listed
is unknown by definition, and the battery holds that unknown is a value.
"""

from __future__ import annotations

from typing import Any

import pytest

from cascade.vocabulary import FailureClass as Fail
from cascade.vocabulary import Milestone as Mile
from channels.providers.base import Answer, CallbackRequest, Failed, StatusReport
from tests.channels.providers.test_green_api import contract as green
from tests.channels.providers.test_smsc import contract as smsc
from tests.channels.providers.test_smtp import contract as smtp
from tests.channels.providers.test_telegram_bot import contract as telegram


def refusal(contract: Any, answer: Answer) -> Fail:
    provider = contract.provider()
    (call,) = provider.build_send([contract.message()])
    (result,) = provider.read_send(call, answer)
    assert isinstance(result, Failed)
    return result.failure


def said(text: str, status: int = 200, **headers: str) -> Answer:
    return Answer(status=status, body=text.encode(), headers=headers)


# ---------------------------------------------------------------- SMSC


@pytest.mark.parametrize(
    ("code", "means"),
    [
        (1, Fail.MESSAGE_PERMANENT),
        (2, Fail.AUTH),
        (3, Fail.BALANCE),
        (4, Fail.RATE_LIMITED),
        (5, Fail.MESSAGE_PERMANENT),
        (6, Fail.MESSAGE_PERMANENT),
        (7, Fail.RECIPIENT_PERMANENT),
        (8, Fail.RECIPIENT_PERMANENT),
        (9, Fail.RATE_LIMITED),
    ],
)
def test_smsc_send_errors(code: int, means: Fail) -> None:
    for body in (f'{{"error":"words","error_code":{code}}}', f'{{"error":"words","error_code":"{code}","id":"1"}}'):
        assert refusal(smsc, said(body)) is means


SMSC_STATUSES = {
    -2: Fail.MESSAGE_PERMANENT,
    -1: Mile.ACCEPTED,
    0: Mile.SENT,
    1: Mile.DELIVERED,
    2: Mile.DELIVERED,
    3: Fail.RECIPIENT_PERMANENT,
    4: Mile.CLICKED,
    20: Fail.RECIPIENT_PERMANENT,
    22: Fail.RECIPIENT_PERMANENT,
    23: Fail.MESSAGE_PERMANENT,
    24: Fail.BALANCE,
    25: Fail.RECIPIENT_PERMANENT,
}


@pytest.mark.parametrize(("status", "means"), SMSC_STATUSES.items())
def test_smsc_statuses_by_poll_and_by_callback(status: int, means: Mile | Fail) -> None:
    provider = smsc.provider()
    (call,) = provider.build_poll([smsc.sent()])
    (polled,) = provider.read_poll(call, said(f'[{{"status":{status},"last_timestamp":1763770000}}]'))
    (told,) = [
        item
        for item in provider.read_callback(CallbackRequest("POST", {}, {}, f"id=77&phone=79&status={status}".encode()))
        if isinstance(item, StatusReport)
    ]
    for report in (polled, told):
        assert (report.milestone or report.failure) is means


def test_smsc_not_found_is_no_news() -> None:
    provider = smsc.provider()
    (call,) = provider.build_poll([smsc.sent()])
    assert provider.read_poll(call, said('[{"status":-3}]')) == []


@pytest.mark.parametrize(
    ("err", "means"),
    [
        (0, Fail.RECIPIENT_PERMANENT),
        (1, Fail.RECIPIENT_PERMANENT),
        (6, Fail.RECIPIENT_PERMANENT),
        (11, Fail.RECIPIENT_PERMANENT),
        (12, Fail.RECIPIENT_PERMANENT),
        (13, Fail.RECIPIENT_PERMANENT),
        (21, Fail.RECIPIENT_PERMANENT),
        (200, Fail.AUTH),
        (219, Fail.RECIPIENT_PERMANENT),
        (220, Fail.TRANSIENT),
    ],
)
def test_smsc_errors_beside_a_status(err: int, means: Fail) -> None:
    provider = smsc.provider()
    (call,) = provider.build_poll([smsc.sent()])
    (report,) = provider.read_poll(call, said(f'[{{"status":20,"err":{err}}}]'))
    assert report.failure is means
    assert (report.reason == "not_registered") is (err == 1), "only “no such subscriber” is held against the number"


# ---------------------------------------------------------------- Telegram


@pytest.mark.parametrize(
    ("status", "description", "means"),
    [
        (403, "Forbidden: bot was blocked by the user", Fail.RECIPIENT_PERMANENT),
        (403, "Forbidden: user is deactivated", Fail.RECIPIENT_PERMANENT),
        (403, "Forbidden: bot can't initiate conversation with a user", Fail.RECIPIENT_PERMANENT),
        (400, "Bad Request: chat not found", Fail.RECIPIENT_PERMANENT),
        (400, "Bad Request: private chat not found", Fail.RECIPIENT_PERMANENT),
        (400, "Bad Request: PEER_ID_INVALID", Fail.RECIPIENT_PERMANENT),
        (400, "Bad Request: message text is empty", Fail.MESSAGE_PERMANENT),
        (400, "Bad Request: message is too long", Fail.MESSAGE_PERMANENT),
        (400, "Bad Request: can't parse entities", Fail.MESSAGE_PERMANENT),
        (400, "Bad Request: Wrong HTTP URL specified", Fail.MESSAGE_PERMANENT),
        (400, "Bad Request: reply markup is too long", Fail.MESSAGE_PERMANENT),
        (400, "Bad Request: BUTTON_DATA_INVALID", Fail.MESSAGE_PERMANENT),
        (401, "Unauthorized", Fail.AUTH),
        (404, "Not Found", Fail.AUTH),
        (409, "Conflict: terminated by other getUpdates request", Fail.AUTH),
        (413, "Request Entity Too Large", Fail.MESSAGE_PERMANENT),
        (429, "Too Many Requests: retry after 5", Fail.RATE_LIMITED),
        (500, "Internal Server Error: restarting", Fail.TRANSIENT),
    ],
)
def test_telegram_errors_in_any_case_and_under_any_status(status: int, description: str, means: Fail) -> None:
    for words, http in ((description, status), (description.upper(), status), (description, 200)):
        body = f'{{"ok":false,"error_code":{status},"description":"{words}"}}'
        assert refusal(telegram, said(body, http)) is means


def test_telegram_parameters_speak_where_words_do_not() -> None:
    later = '{"ok":false,"error_code":400,"description":"?","parameters":{"retry_after":10072}}'
    moved = '{"ok":false,"error_code":400,"description":"?","parameters":{"migrate_to_chat_id":-1001}}'
    assert refusal(telegram, said(later, 400)) is Fail.RATE_LIMITED
    assert refusal(telegram, said(moved, 400)) is Fail.RECIPIENT_PERMANENT


# ---------------------------------------------------------------- GREEN-API


#: Of all its products.
GREEN_API_ERRORS = [
    (400, "Validation failed. Details: 'message' length must be less than 20000", Fail.MESSAGE_PERMANENT),
    (400, "Validation failed. Details: 'chatId' is not valid", Fail.RECIPIENT_PERMANENT),
    (400, "bad request data", Fail.MESSAGE_PERMANENT),
    (400, "Unexpected token } in JSON at position 7", Fail.MESSAGE_PERMANENT),
    (400, "bad phone number", Fail.RECIPIENT_PERMANENT),
    (400, "instance is starting or not authorized", Fail.AUTH),
    (200, '{"status":false,"reason":"instance is starting or not authorized"}', Fail.AUTH),
    (400, "instance in starting process try later", Fail.TRANSIENT),
    (400, "Instance account is expired. Please pay", Fail.BALANCE),
    (400, "Instance is deleted", Fail.AUTH),
    (401, "", Fail.AUTH),
    (403, "", Fail.AUTH),
    (404, "<html><head><title>404 Not Found</title></head></html>", Fail.AUTH),
    (429, "", Fail.RATE_LIMITED),
    (466, '{"method":"sendMessage","used":3,"total":3,"status":"QUOTE_EXCEEDED"}', Fail.BALANCE),
    (466, '{"invokeStatus":{"status":"QUOTE_EXCEEDED"}}', Fail.BALANCE),
    (466, '{"invokeStatus":{"status":"QUOTE_ALLOWED"},"correspondentsStatus":{"status":"X"}}', Fail.BALANCE),
    (500, "", Fail.OUTCOME_UNKNOWN),
    (502, "", Fail.OUTCOME_UNKNOWN),
]


@pytest.mark.parametrize(("status", "text", "means"), GREEN_API_ERRORS)
def test_green_api_errors(status: int, text: str, means: Fail) -> None:
    assert refusal(green, said(text, status)) is means


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("sent", Mile.SENT),
        ("delivered", Mile.DELIVERED),
        ("read", Mile.READ),
        ("failed", Fail.RECIPIENT_PERMANENT),
        ("noAccount", Fail.RECIPIENT_PERMANENT),
        ("notInGroup", Fail.RECIPIENT_PERMANENT),
        ("yellowCard", Fail.AUTH),
    ],
)
def test_green_api_statuses_by_webhook_and_by_getmessage(word: str, means: Mile | Fail) -> None:
    provider = green.provider()
    hook = green.callback({"typeWebhook": "outgoingMessageStatus", "idMessage": "3EB0", "status": word})
    told = provider.read_callback(hook)[0]
    (call,) = provider.build_poll([green.sent()])
    (polled,) = provider.read_poll(call, said(f'{{"type":"outgoing","statusMessage":"{word}"}}'))
    for report in (told, polled):
        assert isinstance(report, StatusReport)
        assert (report.milestone or report.failure) is means


@pytest.mark.parametrize(
    ("state", "may_send"),
    [
        ("authorized", True),
        ("notAuthorized", False),
        ("blocked", False),
        ("starting", False),
        ("sleepMode", False),
        ("yellowCard", False),
        ("suspended", False),
        ("pendingPassword", False),
    ],
)
def test_green_api_states_by_question_and_by_webhook(state: str, may_send: bool) -> None:
    provider = green.provider()
    (call,) = provider.build_self_test()
    report = provider.read_self_test(call, said(f'{{"stateInstance":"{state}"}}'))
    assert report.ok is may_send
    assert "unknown state" not in report.message
    hook = green.callback({"typeWebhook": "stateInstanceChanged", "stateInstance": state, "timestamp": 1763770000})
    (told,) = provider.read_callback(hook)
    assert isinstance(told, StatusReport)
    assert told.of_account
    assert (told.failure is None) is may_send


# ---------------------------------------------------------------- SMTP


@pytest.mark.parametrize(
    ("stage", "reply", "means"),
    [
        ("connect", "421 4.3.2 Try later", Fail.TRANSIENT),
        ("rcpt", "450 4.2.1 Greylisted", Fail.TRANSIENT),
        ("rcpt", "451 4.3.0 Temporary failure", Fail.TRANSIENT),
        ("rcpt", "452 4.2.2 Over quota", Fail.TRANSIENT),
        ("data", "421 4.7.28 Unusual rate", Fail.RATE_LIMITED),
        ("rcpt", "450 4.7.1 Too many letters", Fail.RATE_LIMITED),
        ("auth", "535 5.7.8 Bad credentials", Fail.AUTH),
        ("mail", "530 5.7.0 Authentication required", Fail.AUTH),
        ("auth", "534 5.7.9 Application-specific password required", Fail.AUTH),
        ("rcpt", "550 5.1.1 No such user", Fail.RECIPIENT_PERMANENT),
        ("rcpt", "550 5.1.2 Bad destination system", Fail.RECIPIENT_PERMANENT),
        ("rcpt", "550 5.1.10 Null MX", Fail.RECIPIENT_PERMANENT),
        ("rcpt", "553 Mailbox name not allowed", Fail.RECIPIENT_PERMANENT),
        ("rcpt", "552 5.2.2 Mailbox full", Fail.RECIPIENT_PERMANENT),
        ("data", "550 5.7.1 Rejected as spam", Fail.MESSAGE_PERMANENT),
        ("data", "554 5.7.1 Policy", Fail.MESSAGE_PERMANENT),
        ("data", "550 5.7.26 Unauthenticated mail", Fail.MESSAGE_PERMANENT),
    ],
)
def test_smtp_replies(stage: str, reply: str, means: Fail) -> None:
    code, _, words = reply.partition(" ")
    assert refusal(smtp, Answer(status=int(code), headers={"smtp-stage": stage}, body=words.encode())) is means


def test_smtp_a_full_mailbox_is_not_remembered_and_a_dead_one_is() -> None:
    provider = smtp.provider()
    (call,) = provider.build_send([smtp.message()])
    reasons = {}
    for words in (b"5.2.2 full", b"5.1.1 nobody"):
        answer = Answer(status=550, headers={"smtp-stage": "rcpt"}, body=words)
        (result,) = provider.read_send(call, answer)
        reasons[words] = str(getattr(result, "reason", ""))
    assert reasons == {b"5.2.2 full": "recipient_refused", b"5.1.1 nobody": "not_registered"}
