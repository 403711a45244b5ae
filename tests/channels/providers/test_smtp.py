"""SMTP: the battery, and what only e-mail has."""

from cascade.vocabulary import Purpose
from channels.providers.base import MailCall
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
