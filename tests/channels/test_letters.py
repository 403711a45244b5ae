"""What a letter in the mailbox is: read whole, cut, in several languages, and broken."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.letters import Fate, own_words, read_letter
from emulator import letters

OURS = {"message-id": "<AbCdEfGhIjKlMnOpQrSt_1@salon.example>", "subject": "Напоминание", "from": "hello@salon.example"}
BOUNCE = "bounce+AbCdEfGhIjKlMnOpQrSt_1@salon.example"


@pytest.mark.parametrize(
    ("status", "action", "code"),
    [
        ("not_registered", "failed", "5.1.1"),
        ("failed", "failed", "5.2.2"),
        ("expired", "failed", "4.4.7"),
        ("delayed", "delayed", "4.4.1"),
        ("told_delivered", "delivered", "2.0.0"),
    ],
)
def test_a_report_names_letter_person_and_fate(status, action, code):
    found = read_letter(letters.report(status, "ann@example.org", BOUNCE, "AbCdEfGhIjKlMnOpQrSt_1", OURS))
    (fate,) = found.fates
    assert (fate.recipient, fate.action, fate.status) == ("ann@example.org", action, code)
    assert fate.diagnostic
    assert (found.envelope_id, found.about) == ("AbCdEfGhIjKlMnOpQrSt_1", OURS["message-id"])
    assert BOUNCE in found.recipients, "the mark keeps its case"
    assert found.automatic


def test_a_report_that_is_cut_off_says_what_it_still_can():
    whole = letters.report("not_registered", "ann@example.org", BOUNCE, "", OURS)
    found = read_letter(whole[: whole.index(b"rfc822-headers")])
    assert [fate.status for fate in found.fates] == ["5.1.1"]
    assert found.about == ""


def test_a_report_in_other_letters_than_ascii_rfc_6533():
    body = (
        "From: MAILER-DAEMON@mx.example\r\nTo: a@salon.example\r\n"
        'Content-Type: multipart/report; report-type=global-delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nнет такого\r\n"
        "--b\r\nContent-Type: message/global-delivery-status; charset=utf-8\r\n\r\n"
        "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: utf-8; аня@пример.рф\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        "--b\r\nContent-Type: message/global\r\n\r\nMessage-ID: <x-1@salon.example>\r\nSubject: x\r\n\r\nтекст\r\n--b--\r\n"
    )
    found = read_letter(body.encode())
    assert [(fate.action, fate.status) for fate in found.fates] == [("failed", "5.1.1")]
    assert found.about == "<x-1@salon.example>"


def test_a_complaint_is_one_whoever_is_named_in_it():
    found = read_letter(letters.complaint("ann@example.org", BOUNCE, OURS))
    assert (found.complaint, found.complainant, found.about) == ("abuse", "ann@example.org", OURS["message-id"])
    assert found.automatic


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Precedence: bulk",
        "X-Autoreply: yes",
        "List-Id: <news.example>",
        "Return-Path: <>",
        "Subject: =?utf-8?b?0JDQstGC0L7QvtGC0LLQtdGCOiDRjyDQsiDQvtGC0L/Rg9GB0LrQtQ==?=",
        "Subject: Automatic reply: hello",
        "From: no-reply@bank.example",
    ],
)
def test_an_automatic_answer_is_nobody_s_word(header):
    assert read_letter(f"{header}\r\nFrom: ann@example.org\r\n\r\nI am away".encode()).automatic
    assert not read_letter(b"Auto-Submitted: no\r\nFrom: ann@example.org\r\nSubject: Re: x\r\n\r\nThanks").automatic


def test_a_person_s_answer_is_what_they_wrote():
    found = read_letter(letters.answer("ann@example.org", "hello@salon.example", "Стоп", OURS))
    assert (found.sender, found.words, found.answers[0]) == ("ann@example.org", "Стоп", OURS["message-id"])
    assert not found.automatic
    assert found.at is not None


@pytest.mark.parametrize(
    "quoted",
    [
        "> Отписаться от рассылки",
        "вт, 24 нояб. 2026 г. в 10:00, Салон <hello@salon.example>:\n> Отписаться",
        "вт, 24 нояб. 2026 г. в 10:00, Салон <\nhello@salon.example>:\n\n> Отписаться",
        '24.11.2026, 10:00, "Салон" <hello@salon.example>:\nОтписаться',
        "24.11.2026 10:00, Салон пишет:\n> Отписаться",
        "On Tue, Nov 24, 2026 at 10:00 AM Salon <hello@salon.example> wrote:\n> Unsubscribe",
        "-----Исходное сообщение-----\nОт: Салон\nОтписаться",
        "-----Original Message-----\nFrom: Salon",
        "________________________________\nОт: Салон <hello@salon.example>\nОтправлено: 24 ноября 2026\nОтписаться",
        "От: Салон <hello@salon.example>\nОтправлено: 24 ноября 2026 г. 10:00\nОтписаться",
        "-- \nИП Иванова, отписаться нельзя",
    ],
)
def test_what_was_quoted_is_not_what_was_said(quoted):
    assert own_words(f"Спасибо, приду!\n\n{quoted}\n") == "Спасибо, приду!"


def test_an_answer_below_the_quotation_is_found():
    assert own_words("> Ждём вас\n> завтра\n\nПриду\n") == "Приду"


def test_an_answer_in_html_only():
    body = (
        "From: ann@example.org\r\nContent-Type: text/html; charset=koi8-r\r\n\r\n"
        "<style>p{}</style><p>Приду &amp; спасибо</p><br><blockquote><p>Отписаться</p></blockquote>"
    )
    assert read_letter(body.encode("koi8-r")).words == "Приду & спасибо"


def test_parts_within_parts_without_end_are_nobody_s_letter():
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(5000))
    assert read_letter(b"From: ann@example.org\r\n" + deep).words == ""


@settings(max_examples=300, deadline=None, database=None)
@given(
    st.sampled_from(
        [
            letters.report("failed", "ann@example.org", BOUNCE, "x", OURS),
            letters.complaint("ann@example.org", BOUNCE, OURS),
            letters.answer("ann@example.org", "hello@salon.example", "Приду", OURS),
        ]
    ),
    st.integers(0, 2000),
    st.integers(0, 60),
    st.binary(max_size=40),
)
def test_any_bytes_are_a_letter_of_some_kind(letter, start, length, noise):
    found = read_letter(letter[:start] + noise + letter[start + length :])
    assert all(isinstance(fate, Fate) for fate in found.fates)
    assert len(found.words) <= 20_000
