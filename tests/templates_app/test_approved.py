"""A text of ours against the one a messenger has approved: what goes into {{1}}, {{2}}, and where the two part."""

from __future__ import annotations

import pytest

from templates_app.approved import Differs, places
from templates_app.rendering import compile_text
from templates_app.services import Text, prepare

BODY = "Здравствуйте, {{1}}!\nЖдём вас {{2}}."


def test_parameters_are_the_values_in_the_order_of_their_numbers() -> None:
    text = "Здравствуйте, {имя|друг}!\nЖдём вас {время}."
    assert places(BODY, compile_text(text)) == (0, 1)
    assert places("{{2}}, {{1}}", compile_text("{a}, {b}")) == (1, 0)
    assert places("{{1}} и {{ 1 }}", compile_text("{a} и {a}")) == (0,)
    assert places("Без переменных", compile_text("Без переменных")) == ()
    values = prepare(Text(text)).values_of({"время": "завтра"})
    assert values == ["друг", "завтра"]


def test_a_link_is_a_value_like_any_other() -> None:
    prepared = prepare(Text("{имя}: {link}", link="https://x.example"))
    assert prepared.values_of({"имя": "Анна"}, link="https://s.example/l/1") == ["Анна", "https://s.example/l/1"]
    assert places("{{1}}: {{2}}", prepared.text) == (0, 1)


@pytest.mark.parametrize("text", [f"\r\n  {BODY}\n\n".replace("\n", "\r\n"), BODY])
def test_what_no_reader_sees_is_no_difference(text: str) -> None:
    ours = text.replace("{{1}}", "{a}").replace("{{2}}", "{b}")
    assert places(BODY, compile_text(ours)) == (0, 1)


@pytest.mark.parametrize(
    ("body", "text", "says"),
    [
        (BODY, "Здравствуйте, {имя}!\nЖдём вас.", "2"),
        (BODY, "Здравствуйте!", "2"),
        ("Привет, {{1}}", "Привет, {имя}!", "Approved: “Привет, {{1}}”. Yours: “Привет, {имя}!”"),
        ("Ждём {{1}} в 12", "Ждём {имя} в 13", " в 13"),
        ("{{1}} и {{1}}", "{a} и {b}", "{{1}}"),
    ],
)
def test_a_difference_is_told_in_words(body: str, text: str, says: str) -> None:
    with pytest.raises(Differs) as told:
        places(body, compile_text(text))
    assert says in told.value.message % told.value.params


def test_the_words_around_a_difference_are_short() -> None:
    with pytest.raises(Differs) as told:
        places("а" * 500 + "б", compile_text("а" * 500 + "в"))
    assert told.value.params == {"approved": f"…{'а' * 30}б", "yours": f"…{'а' * 30}в"}
