"""Nothing personal and no secret leaves through the logs."""

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade_project.logs import RedactPersonalData, redact

TOKEN = "123456789:AAHk3v9x_4Qz-W7u1T6yR5eP2oI0aS8dFgH"


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("sent to 79001234567", "7900123"),
        ("sent to +79001234567, ok", "7900123"),
        ("sent to +7 (900) 123-45-67", "123-45"),
        ("sent to 8 900 123 45 67.", "123 45"),
        ("sent to 8(900)123-45-67", "123-45"),
        ("phones=79001234567;79007654321", "7900765"),
        (f"POST https://api.telegram.org/bot{TOKEN}/sendMessage", "AAHk3v9x"),
        ("GET /waInstance1101000001/getStateInstance/d75b3a66374942c5b3c019c698abc2067e151558acbd412345", "d75b3a66"),
        ("Forbidden: /hooks/3/NU5Y9r--Y7lPwpvyZqFafqbt0WUuVyBh/", "NU5Y9r"),
        ("Not Found: /u/AbCdEfGhIjKlMnOpQrSt_1", "AbCdEf"),
        ("psw=hunter2&login=shop", "hunter2"),
        ('{"api_key": "abcdef123", "x": 1}', "abcdef123"),
        ("Authorization: Bearer abcdef.ghijkl", "abcdef.ghijkl"),
        ("redis://:s3cr3tpass@127.0.0.1:6379/0", "s3cr3tpass"),
        ("postgres://cascade:pw1234@db/cascade", "pw1234"),
        ("to anna.petrova@shop.ru", "anna.petrova"),
    ],
)
def test_secrets_and_people_are_cut_out(text: str, gone: str) -> None:
    assert gone in text
    assert gone not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24 05:22:19,123 INFO tick took 0.034 s",
        "claimed 500 deliveries of campaign 42",
        "GET /admin/deliveries/delivery/?page=3 200",
        "delivery 123456789 moved to step 2",
        "Listening at: http://127.0.0.1:8000",
        "version 18.6.3, 2103 recipients, 8226.60 RUB",
    ],
)
def test_what_one_debugs_by_stays(text: str) -> None:
    assert redact(text) == text


@given(st.from_regex(r"\A\+?7[0-9]{10}\Z"), st.sampled_from([" ", '"', "'", "=", ":", ",", "(", "/", "\n"]))
def test_no_phone_survives_any_neighbour(phone: str, neighbour: str) -> None:
    assert phone.lstrip("+")[:9] not in redact(f"x{neighbour}{phone}{neighbour}y")


def test_arguments_and_tracebacks_are_redacted_too() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactPersonalData())
    logger = logging.getLogger("tests.redaction")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        raise ValueError("cannot send to 79001234567")
    except ValueError:
        logger.exception("failed for %s with %s", "79001234567", f"token={TOKEN}")
    written = stream.getvalue()
    assert "ValueError" in written
    assert "7900123" not in written
    assert "AAHk3v9x" not in written
