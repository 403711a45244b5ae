"""B4, B5: the owners' spellings give one number, a damaged one is never repaired."""

from random import Random

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contacts.phones import Phone, Rejected, fast_mobile, normalise
from contacts.reasons import TEXTS, Reason

SAME = [
    "+7 (912) 345-67-89",
    "89123456789",
    "79123456789",
    "9123456789",
    "8-912-345-67-89",
    "+7.912.345.67.89",
    "+7\u00a0912\u00a0345\u00a067\u00a089",
    "'+79123456789",
    "79123456789.0",
    "7.9123456789E+10",
    "tel:+79123456789",
    "  8 912 345 67 89  ",
    "\u202a+7 912 345-67-89\u202c",
    "моб. 8 912 345-67-89",
    "007 912 345 67 89",
    "7,9123456789E+10",
]


@pytest.mark.parametrize("raw", SAME)
def test_one_person_in_many_spellings(raw):
    assert normalise(raw) == Phone("+79123456789", is_mobile=True)


def test_a_landline_is_taken_and_said():
    assert normalise("8 (495) 123-45-67") == Phone("+74951234567", is_mobile=False, warnings=(Reason.PHONE_LANDLINE,))


def test_a_foreign_number_is_taken():
    assert normalise("+375 29 123-45-67") == Phone("+375291234567", is_mobile=True)


def test_of_two_numbers_the_first_valid_one_is_taken_and_said():
    for raw in ("8 912 345-67-89, 8 495 123-45-67", "12345; 89123456789", "89123456789 / 9031112233", "89123456789\n1"):
        assert normalise(raw) == Phone("+79123456789", is_mobile=True, warnings=(Reason.PHONE_SECOND,)), raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("+7 912 345-67-89 доб. 12", Reason.PHONE_EXTENSION),
        ("8 495 123-45-67 ext 4", Reason.PHONE_EXTENSION),
        ("7,9123E+10", Reason.PHONE_LOSSY),
        ("7.91235E+10", Reason.PHONE_LOSSY),
        ("7.912345678E+10", Reason.PHONE_LOSSY),
        ("8912345678", Reason.PHONE_LENGTH),
        ("7912345678", Reason.PHONE_LENGTH),
        ("891234567890", Reason.PHONE_LENGTH),
        ("375291234567", Reason.PHONE_LENGTH),
        ("912345678", Reason.PHONE_LENGTH),
        ("+7 000", Reason.PHONE_INVALID),
        ("+7 912 345 67 8", Reason.PHONE_INVALID),
        ("+791234567890", Reason.PHONE_INVALID),
        ("8912З456789", Reason.PHONE_LETTERS),
        ("891234567О9", Reason.PHONE_LETTERS),
        ("8912345678O", Reason.PHONE_LETTERS),
        ("", Reason.PHONE_EMPTY),
        ("'", Reason.PHONE_EMPTY),
        ("нет", Reason.PHONE_LETTERS),
        ("-", Reason.PHONE_NOT_A_NUMBER),
        ("12", Reason.PHONE_NOT_A_NUMBER),
        ("٠٩١٢٣٤٥٦٧٨٩", Reason.PHONE_NOT_A_NUMBER),
        ("9" * 5000, Reason.PHONE_NOT_A_NUMBER),
    ],
)
def test_a_damaged_number_is_refused_with_its_reason(raw, reason):
    assert normalise(raw) == Rejected(reason)


def test_every_reason_has_a_sentence():
    assert set(TEXTS) == set(Reason)


def test_the_fast_road_agrees_with_phonenumbers_on_100_000_random_inputs():
    """Seeded rather than Hypothesis: it is the number of inputs that convinces here, and 100,000 take seconds."""
    random = Random(20260722)
    fast = 0
    for _ in range(100_000):
        digits = random.choice("34589") + "".join(random.choices("0123456789", k=random.choice((8, 9, 9, 9, 9, 10))))
        raw = random.choice(("+7", "8", "7", "", "+7 (", "8-", "+", "-")) + digits
        if random.random() < 0.5:
            at = random.randrange(len(raw))
            raw = raw[:at] + random.choice(" -().\u00a0") + raw[at:]
        quick = fast_mobile(raw)
        if quick is None:
            continue
        fast += 1
        parsed = phonenumbers.parse(raw, "RU")
        assert phonenumbers.is_valid_number(parsed), raw
        assert phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE, raw
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == quick, raw
    assert fast > 5_000


@settings(max_examples=1_000, deadline=None)
@given(st.text(max_size=40) | st.text(alphabet="+789012345().- Ee,/доб\u00a0", max_size=25))
def test_whatever_is_accepted_is_a_valid_number_and_nothing_crashes(raw):
    answer = normalise(raw)
    if isinstance(answer, Phone):
        assert phonenumbers.is_valid_number(phonenumbers.parse(answer.e164))
        assert answer.e164.isascii()
        assert normalise(answer.e164).e164 == answer.e164
