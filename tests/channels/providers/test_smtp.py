"""SMTP: the battery, and what only e-mail has: headers, and the letters that come back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.vocabulary import FailureClass, Milestone, Purpose, Reason
from channels.providers.base import (
    LETTER,
    Answer,
    CallbackItem,
    CallbackRequest,
    How,
    Inbound,
    MailboxCall,
    MailCall,
    NoAnswer,
    OptOut,
    StatusReport,
)
from emulator import letters
from tests.channels.providers.contract import REF, ProviderContract


class TestSmtp(ProviderContract):
    slug = "smtp"
    config = {
        "host": "smtp.salon.example",
        "sender": "hello@salon.example",
        "sender_name": "Салон «Ёж»",
        "username": "hello",
        "password": "canary-password-0123456789",
    }
    secrets = ("canary-password-0123456789",)
    address = "ann@example.org"
    has_callbacks = False

    def test_fuzz_callbacks(self) -> None:
        fuzz_letters()  # nothing else comes in here


contract = TestSmtp()


def letter(**changes) -> MailCall:
    (call,) = contract.provider(**changes.pop("config", {})).build_send([contract.message(**changes)])
    assert isinstance(call, MailCall)
    return call


def test_a_letter_has_an_id_made_of_our_reference():
    call = letter(subject="Напоминание", html="<p>x</p>")
    assert call.headers == {"Message-ID": f"<{REF}@salon.example>"}
    assert (call.recipient, call.subject, call.html) == ("ann@example.org", "Напоминание", "<p>x</p>")
    assert call.sender.endswith("<hello@salon.example>")
    assert (call.use_tls, call.use_ssl, call.port) == (True, False, 587)


def test_only_marketing_can_be_unsubscribed_by_one_click():
    url = "https://salon.example/u/abc"
    call = letter(purpose=Purpose.MARKETING, unsubscribe_url=url, config={"unsubscribe_mailto": "stop@salon.example"})
    assert call.headers["List-Unsubscribe"] == f"<{url}>, <mailto:stop@salon.example>"
    assert call.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "List-Unsubscribe" not in letter(purpose=Purpose.SERVICE, unsubscribe_url=url).headers
    assert "List-Unsubscribe" not in letter(purpose=Purpose.MARKETING).headers


def test_a_missing_subject_is_the_first_line():
    assert letter(text="Ждём вас завтра\nв 12:00").subject == "Ждём вас завтра"


def test_T21_control_characters_never_reach_a_header():
    call = letter(
        address="a@b.example\r\nRCPT TO:<eve@x.example>",
        subject="x\r\nBcc: eve@x.example",
        purpose=Purpose.MARKETING,
        unsubscribe_url="https://x.example/\r\nBcc: eve@x.example",
        config={"reply_to": "a@b.example\nBcc: eve@x.example"},
    )
    for value in (call.subject, call.recipient, call.sender, *call.headers.values()):
        assert not any(ord(letter) < 32 for letter in value)


def test_tls_from_the_first_byte_wins():
    call = letter(config={"use_ssl": True, "port": 465})
    assert (call.use_tls, call.use_ssl) == (False, True)


# ---------------------------------------------------------------- the mailbox

MAILBOX = {
    "bounce_host": "imap.salon.example",
    "bounce_login": "bounce",
    "bounce_password": "canary-bounce-password-012345",
    "bounce_address": "bounce@salon.example",
}
RETURNED = {"message-id": f"<{REF}@salon.example>", "subject": "Напоминание", "from": "hello@salon.example"}
MARKED = f"bounce+{REF}@salon.example"


def came_back(body: bytes, **config: Any) -> list[CallbackItem]:
    provider = contract.provider(**{**MAILBOX, **config})
    items = provider.read_callback(CallbackRequest(LETTER, {}, {}, body))
    contract.check_items(provider, items)
    return items


def test_with_a_mailbox_every_letter_comes_back_with_its_mark():
    call = letter(config=MAILBOX)
    assert (call.envelope_sender, call.envelope_id) == (MARKED, REF)
    plain = letter()
    assert (plain.envelope_sender, plain.envelope_id) == ("", ""), "nobody would read it"
    without = letter(config={**MAILBOX, "bounce_address": ""})
    assert (without.envelope_sender, without.envelope_id) == ("", REF)


def test_a_mailbox_is_looked_into_with_its_own_login_or_that_for_sending():
    call = contract.provider(**MAILBOX).build_pull("1:7")
    assert isinstance(call, MailboxCall)
    assert (call.host, call.port, call.username, call.after, call.folder) == (
        "imap.salon.example",
        993,
        "bounce",
        "1:7",
        "INBOX",
    )
    assert "canary" not in repr(call)
    same = contract.provider(bounce_host="imap.salon.example").build_pull("")
    assert isinstance(same, MailboxCall)
    assert (same.username, same.password) == ("hello", "canary-password-0123456789")
    assert contract.provider().build_pull("") is None


class TestSmtpWithMailbox(TestSmtp):
    """The same battery for an account that reads what comes back."""

    config = TestSmtp.config | MAILBOX
    secrets = (*TestSmtp.secrets, MAILBOX["bounce_password"])
    test_fuzz_answers = test_fuzz_callbacks = None  # the same readers again


def test_a_look_says_what_came_or_why_nothing_can():
    provider = contract.provider(**MAILBOX)
    call = provider.build_pull("1:7")
    assert call is not None
    good = provider.read_pull(call, Answer(status=200, headers={"mailbox-cursor": "1:9"}, parts=(b"a", b"b")))
    assert [(one.method, one.body) for one in good.requests] == [(LETTER, b"a"), (LETTER, b"b")]
    assert (good.cursor, good.more, good.trouble) == ("1:9", False, None)
    assert provider.read_pull(call, Answer(status=200, parts=(b"a",) * 20)).more
    said = set()
    for answer in (
        Answer(status=535, detail="no"),
        Answer(status=404, detail="no"),
        Answer(status=500, detail="no"),
        Answer(no_answer=NoAnswer.NOT_SENT),
        Answer(no_answer=NoAnswer.NOT_SENT, untrusted=True),
        Answer(no_answer=NoAnswer.MAYBE_SENT),
    ):
        pulled = provider.read_pull(call, answer)
        assert pulled.trouble is not None
        assert pulled.cursor is None
        said.add(pulled.trouble.message)
    assert len(said) == 6


def test_only_with_a_mailbox_a_person_s_answer_is_heard():
    assert contract.provider(**MAILBOX).capabilities.reports[Milestone.REPLIED] is How.MAILBOX
    assert Milestone.REPLIED not in contract.provider().capabilities.reports
    assert Milestone.DELIVERED not in contract.provider(**MAILBOX).capabilities.reports, "told by few servers only"


@pytest.mark.parametrize(
    "config",
    [
        {"bounce_host": "imap.salon.example", "username": ""},
        {"bounce_address": "bounce@salon.example"},
        {"bounce_host": "imap.salon.example", "bounce_address": "bounce"},
    ],
)
def test_a_mailbox_that_cannot_work_is_said_when_it_is_saved(config):
    assert contract.provider(**config).problem()
    assert not contract.provider(**MAILBOX).problem()


@pytest.mark.parametrize(
    ("status", "failure", "reason"),
    [
        ("not_registered", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
        ("failed", FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
        ("expired", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME),
        ("refused_as_spam", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # 5.0.0; the diagnosis says 5.7.1
    ],
)
def test_why_a_letter_came_back(status, failure, reason):
    (report,) = came_back(letters.report(status, "ann@example.org", MARKED, REF, RETURNED))
    assert isinstance(report, StatusReport)
    assert (report.failure, report.reason, report.milestone) == (failure, reason, None)
    assert (report.ref, report.provider_message_id) == (REF, RETURNED["message-id"])


def test_a_delay_is_no_failure_and_a_delivery_is_one_that_was_told():
    assert came_back(letters.report("delayed", "ann@example.org", MARKED, REF, RETURNED)) == []
    (told,) = came_back(letters.report("told_delivered", "ann@example.org", MARKED, REF, RETURNED))
    assert isinstance(told, StatusReport)
    assert (told.milestone, told.failure) == (Milestone.DELIVERED, None)


def test_a_letter_is_found_by_mark_then_envelope_then_what_was_returned():
    other = "B" * 22

    def found(to: str, envelope: str, headers: dict[str, str]) -> tuple[str, str] | None:
        items = came_back(letters.report("failed", "ann@example.org", to, envelope, headers))
        return (items[0].ref, items[0].provider_message_id) if items else None  # type: ignore[union-attr]

    assert found(MARKED, other, {}) == (REF, "")
    assert found("bounce@salon.example", other, RETURNED) == (other, RETURNED["message-id"])
    assert found("bounce@salon.example", "", RETURNED) == ("", RETURNED["message-id"])
    assert found(MARKED.lower(), "", RETURNED) == (REF.lower(), RETURNED["message-id"]), "a server that spoils the mark"
    assert found("bounce@salon.example", "", {"message-id": "<somebody-else@salon.example>"}) is None
    assert found(f"bounce+{REF}@elsewhere.example", "", {}) is None


def test_a_server_that_never_learned_to_report_is_understood_by_its_mark_and_code():
    body = f"From: MAILER-DAEMON@old.example\r\nTo: {MARKED}\r\nSubject: failure notice\r\n\r\nHi. {{}}\r\n"
    (report,) = came_back(body.format("<ann@example.org>: 550 5.1.1 unknown user").encode())
    assert isinstance(report, StatusReport)
    assert (report.ref, report.reason) == (REF, Reason.NOT_REGISTERED)
    assert came_back(body.format("I could not, and will not say why").encode()) == []


def test_a_complaint_is_the_end_of_advertising():
    (told,) = came_back(letters.complaint("ann@example.org", MARKED, RETURNED))
    assert isinstance(told, OptOut)
    assert (told.ref, told.provider_message_id, told.address) == (REF, RETURNED["message-id"], "ann@example.org")
    taken_back = letters.complaint("ann@example.org", MARKED, RETURNED).replace(b"abuse\r\nUser", b"not-spam\r\nUser")
    assert came_back(taken_back) == []
    stranger = letters.complaint("ann@example.org", "bounce@salon.example", {"message-id": "<x@other.example>"})
    assert came_back(stranger) == [], "a complaint about somebody else's letter"


def test_a_person_s_answer_and_nobody_s():
    (said,) = came_back(letters.answer("ann@example.org", "hello@salon.example", "Стоп", RETURNED))
    assert isinstance(said, Inbound)
    assert (said.address, said.text, said.in_reply_to) == ("ann@example.org", "Стоп", RETURNED["message-id"])
    (asked,) = came_back(b"From: ann@example.org\r\nSubject: unsubscribe\r\n\r\n")
    assert isinstance(asked, Inbound)
    assert asked.text == "unsubscribe", "a mail program's button writes a subject and nothing else"
    assert came_back(letters.away("ann@example.org", MARKED, RETURNED)) == []
    assert came_back(b"From: Salon <HELLO@salon.example>\r\n\r\nour own copy") == []
    assert came_back(b"\xff\x00") == []


def test_what_comes_by_http_is_no_letter():
    with pytest.raises(ValueError, match="no callbacks"):
        contract.provider(**MAILBOX).read_callback(CallbackRequest("POST", {}, {}, b"From: ann@example.org\r\n\r\nx"))


def fuzz_letters() -> None:
    """Reports, complaints and answers with something cut out of them and something put in."""
    seeds = [letters.report(status, "ann@example.org", MARKED, REF, RETURNED) for status in letters.REPORTS]
    seeds += [make("ann@example.org", MARKED, RETURNED) for make in (letters.complaint, letters.away)]
    seeds.append(letters.answer("ann@example.org", "hello@salon.example", "Приду", RETURNED))
    words = st.sampled_from(
        [b"", b"\0", b"\xff", b"5.1.1", b"<a@b>", b"=?utf-8?b?0J/?=", b"\r\n", b"canary-password-0123456789"]
    )

    @settings(max_examples=1000, deadline=None, database=None)
    @given(st.sampled_from(seeds), st.integers(0, 1500), st.integers(0, 80), words | st.binary(max_size=30))
    def fuzz(body: bytes, start: int, length: int, noise: bytes) -> None:
        changed = body[:start] + noise + body[start + length :]
        assert [item.event_key for item in came_back(changed)] == [item.event_key for item in came_back(changed)]

    fuzz()
