"""B3: what the columns are, and what is asked when it cannot be known."""

import pytest

from contacts.imports.headers import Column, Field, field_of, header_row_of, key_of, propose

WORDS = {
    Field.PHONE: ["телефон", "тел.", "моб.", "номер", "сотовый", "phone", "Телефон 1", "Телефон 2", "Моб. телефон"],
    Field.FULL_NAME: ["ФИО", "клиент", "Ф.И.О.", "Full name", "Фамилия Имя Отчество"],
    Field.NAME: ["имя", "Name", "first_name"],
    Field.EMAIL: ["e-mail", "почта", "E-Mail", "Эл. почта", "email"],
    Field.CONSENT: ["согласие", "Согласие на рассылку"],
    Field.BIRTHDAY: ["дата рождения", "День рождения", "ДР", "birthday"],
    Field.BRANCH: ["филиал", "Салон"],
    Field.TAGS: ["теги", "Категории"],
    Field.TIMEZONE: ["часовой пояс", "Time zone"],
}


@pytest.mark.parametrize(("field", "word"), [(field, word) for field, words in WORDS.items() for word in words])
def test_B3_words_are_known_however_they_are_dressed(field, word):
    for spelled in (word, word.upper(), word.title(), f"  {word} ", word.replace(" ", "\u00a0"), f"\ufeff{word}"):
        assert field_of(spelled) is field, repr(spelled)


def fields(headers, *samples, has_header=True):
    return [column.field for column in propose(headers, samples, has_header=has_header)]


def test_B3_of_two_phones_the_owner_chooses():
    columns = propose(["Телефон 1", "Телефон 2", "Имя"], [["89123456789", "89031112233", "Анна"]], has_header=True)
    assert [column.field for column in columns] == [Field.PHONE, Field.VARIABLE, Field.NAME]
    assert columns[1].key == "телефон_2"


def test_B3_equal_headers_get_names_of_their_own():
    columns = propose(["Телефон", "Заказ", "Заказ", ""], [["89123456789", "1", "2", "3"]], has_header=True)
    assert [column.key for column in columns] == ["", "заказ", "заказ_2", "column_4"]


def test_B3_without_headers_the_cells_decide():
    rows = [["Анна", "8 912 345-67-89", "anna@example.ru"], ["Пётр", "8 903 111-22-33", "petr@example.ru"]]
    assert header_row_of(rows) == 0
    assert fields(["", "", ""], *rows, has_header=False) == [Field.VARIABLE, Field.PHONE, Field.EMAIL]


def test_B3_the_header_may_stand_below_a_title():
    rows = [["Отчёт по клиентам за май"], [""], ["Клиент", "Телефон"], ["Анна", "89123456789"]]
    assert header_row_of(rows) == 3


def test_B3_a_header_of_unknown_words_is_one_when_data_follows():
    assert header_row_of([["Кто", "Куда"], ["Анна", "89123456789"]]) == 1


def test_a_name_column_with_surnames_is_the_full_name():
    assert fields(["Телефон", "Имя"], ["89123456789", "Иванова Анна"]) == [Field.PHONE, Field.FULL_NAME]
    assert fields(["Телефон", "Имя"], ["89123456789", "Анна"]) == [Field.PHONE, Field.NAME]


def test_a_phone_is_recognised_under_a_word_of_the_owners():
    assert fields(["Куда звонить", "Имя"], ["89123456789", "Анна"]) == [Field.PHONE, Field.NAME]


def test_keys_never_cover_a_field_of_the_card():
    assert key_of("Имя", 1, set()) == "имя_2"
    assert key_of("2-й визит", 1, set()) == "n_2_й_визит"
    assert key_of("№", 4, set()) == "no"
    assert key_of("!!!", 4, set()) == "column_4"


def test_a_mapping_survives_its_json_and_a_newer_version_is_skipped():
    column = Column("Заказ", Field.VARIABLE, "заказ")
    assert Column.from_json(column.as_json()) == column
    assert Column.from_json({"header": "x", "field": "of_tomorrow"}).field is Field.SKIP
