"""The whole way of a file on a real database: nobody lost, nobody invented, nobody's no turned into a yes."""

import csv
import io
from collections import Counter
from datetime import date

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts.imports import staging
from contacts.imports.errors import FileTroubleError, Trouble
from contacts.imports.headers import Column, Field
from contacts.models import (
    Consent,
    ConsentSource,
    Contact,
    ContactList,
    ImportJob,
    ImportStatus,
    ListMember,
    Suppression,
    SuppressionScope,
    Tag,
)
from contacts.phones import Phone, normalise
from contacts.services import consents, imports, suppressions
from tests.contacts.conftest import bring, bring_in, numbers, text_file, upload, workbook

pytestmark = pytest.mark.django_db

FIFTEEN = [
    "+7 (912) 345-67-89", "89123456789", "79123456789", "9123456789", "8-912-345-67-89", "+7.912.345.67.89",
    "+7\u00a0912\u00a0345\u00a067\u00a089", "'+79123456789", "79123456789.0", "7.9123456789E+10", "tel:+79123456789",
    "8 (495) 123-45-67", "+375 29 123-45-67", "+7 912 345-67-89 доб. 12", "8 912 345-67-89, 8 903 111-22-33",
]  # fmt: skip


# --- who is one person ------------------------------------------------------------------------------------------


def test_B4_fifteen_spellings_are_three_people_and_one_reject():
    done = bring("\n".join(["Телефон", *(f'"{raw}"' for raw in FIFTEEN)]).encode())
    assert numbers(done) == {"imported": 3, "updated": 0, "duplicate": 11, "rejected": 1}
    assert set(Contact.objects.values_list("phone", flat=True)) == {"+79123456789", "+74951234567", "+375291234567"}


def test_B6_of_one_person_the_strictest_consent_and_the_first_values_stay():
    done = bring(
        text_file(
            "Телефон;ФИО;E-mail;Согласие;Теги;Заказ;Город",
            "89123456789;Иванова Анна;;да;VIP;17;",
            "+7 (912) 345-67-89;Петрова Анна;anna@b.ru;нет;новые;18;Пермь",
            "9123456789;;other@b.ru;да;;;",
        ),
        target_name="май",
    )
    assert numbers(done) == {"imported": 1, "updated": 0, "duplicate": 2, "rejected": 0}
    anna = Contact.objects.get()
    assert (anna.full_name, anna.name, anna.email) == ("Иванова Анна", "Анна", "anna@b.ru")
    assert anna.marketing_consent == "withdrawn"
    assert sorted(anna.tags.values_list("name", flat=True)) == ["VIP", "новые"]
    assert ListMember.objects.get().variables == {"заказ": "17", "город": "Пермь"}
    line = Consent.objects.get()
    assert (line.granted, line.source, line.evidence) == (False, "список.csv:2", "нет")


def test_B6_across_files_too_and_an_empty_cell_erases_nothing():
    bring(text_file("Телефон;ФИО;Согласие", "89123456789;Иванова Анна;да"))
    done = bring(text_file("Телефон;ФИО;Согласие", "8 912 345-67-89;;нет"), "второй.csv")
    assert (done.imported, done.updated) == (0, 1)
    anna = Contact.objects.get()
    assert (anna.full_name, anna.marketing_consent) == ("Иванова Анна", "withdrawn")
    assert [line.granted for line in Consent.objects.order_by("id")] == [True, False]


def test_a_file_cannot_give_back_what_was_withdrawn():
    anna = Contact.objects.create(phone="+79123456789")
    consents.record(anna.pk, granted=False, source="чат")
    # Once where nothing else changes on the card, once where the card is written anyway.
    for name in ("", "Анна"):
        done = bring(text_file("Телефон;Согласие;Имя", f"89123456789;да;{name}"))
        anna.refresh_from_db()
        assert (anna.name, anna.marketing_consent) == (name, "withdrawn")
        assert (Consent.objects.count(), done.updated) == (1, 1)


def test_everybody_agreed_needs_evidence_and_leaves_it_in_the_ledger():
    job = upload(text_file("Телефон;Имя", "89123456789;Анна", "89031112233;Пётр"))
    job.consent_source = ConsentSource.EVERYBODY
    job.save()
    with pytest.raises(FileTroubleError) as refused:
        imports.request_run(job)
    assert refused.value.code is Trouble.EVIDENCE_MISSING
    bring_in(job, consent_evidence="Анкета в салоне, май 2026", target_name="")
    lines = Consent.objects.order_by("source")
    assert [(line.granted, line.source, line.wording) for line in lines] == [
        (True, "список.csv:2", "Анкета в салоне, май 2026"), (True, "список.csv:3", "Анкета в салоне, май 2026"),
    ]  # fmt: skip
    assert {contact.consent_id for contact in Contact.objects.all()} == {line.pk for line in lines}


def test_a_row_with_an_email_only_belongs_to_its_one_phone():
    Contact.objects.create(phone="+79160000000", email="base@b.ru")
    done = bring(
        text_file(
            "Телефон;E-mail;Имя",
            "89123456789;anna@b.ru;Анна",
            ";anna@b.ru;",  # Anna again
            ";base@b.ru;Юля",  # known in the base
            "89031112233;family@b.ru;Пётр",
            "89031112244;family@b.ru;Ирина",
            ";family@b.ru;",  # whose? a card of its own
            ";alone@b.ru;Олег",
        ),
    )
    assert numbers(done) == {"imported": 5, "updated": 1, "duplicate": 1, "rejected": 0}
    assert Contact.objects.get(email="base@b.ru").name == "Юля"
    assert set(Contact.objects.filter(phone=None).values_list("email", flat=True)) == {"family@b.ru", "alone@b.ru"}


def test_B16_the_same_file_again_changes_nothing_and_adds_nobody():
    content = text_file(
        "Телефон;ФИО;E-mail;Согласие;Теги;Заказ",
        "89123456789;Иванова Анна;a@b.ru;да;VIP;17",
        ";;c@d.ru;нет;;18",
        "1;Пётр;;;;",
        "8 912 345-67-89;;;;;19",
    )
    first = bring(content, target_name="май")
    before = list(Contact.objects.order_by("pk").values())
    again = bring(content, target=first.target)
    assert numbers(first) == {"imported": 2, "updated": 0, "duplicate": 1, "rejected": 1}
    assert numbers(again) == {"imported": 0, "updated": 2, "duplicate": 1, "rejected": 1}
    assert list(Contact.objects.order_by("pk").values()) == before
    assert Consent.objects.count() == ListMember.objects.count() == 2


@pytest.mark.parametrize("spelling", [*FIFTEEN[:4], FIFTEEN[9]])
def test_suppression_outlives_deletion_and_import_with_consent(spelling):
    anna = Contact.objects.create(phone="+79123456789")
    suppressions.suppress("89123456789", SuppressionScope.ALL, "просила", "чат")
    anna.delete()
    bring(text_file("Телефон;Согласие", f"{spelling};да"))
    assert Contact.objects.get().suppressed == SuppressionScope.ALL
    assert Suppression.objects.count() == 1


def test_a_stop_that_comes_between_the_preview_and_the_import_counts():
    job = upload(text_file("Телефон;E-mail", "89123456789;a@b.ru", "89031112233;c@d.ru"))
    imports.request_check(job)
    imports.work(job.pk)
    suppressions.suppress("89123456789", SuppressionScope.ALL, "", "")
    suppressions.suppress("c@d.ru", SuppressionScope.MARKETING, "", "")
    job.refresh_from_db()
    imports.request_run(job)
    imports.work(job.pk)
    assert dict(Contact.objects.values_list("phone", "suppressed")) == {"+79123456789": 2, "+79031112233": 1}


def test_another_key_of_the_stop_list_stops_the_import(settings):
    suppressions.suppress("89123456789", SuppressionScope.ALL, "", "")
    job = upload(text_file("Телефон", "89123456789"))
    settings.SUPPRESSION_KEY = "another" * 10
    imports.request_run(job)
    failed = imports.work(job.pk)
    assert (failed.status, failed.error["code"]) == (ImportStatus.FAILED, Trouble.STOP_LIST_KEY)
    assert not Contact.objects.exists()


def test_the_ledger_refuses_to_be_rewritten_by_anybody():
    bring(text_file("Телефон;Согласие", "89123456789;нет"))
    for statement in ("UPDATE contacts_consent SET granted = true", "DELETE FROM contacts_consent"):
        with (
            pytest.raises(IntegrityError, match=r"append-only|foreign key"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not Consent.objects.get().granted


# --- odd files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (b"", Trouble.EMPTY),
        (b" \r\n \t \n", Trouble.EMPTY),
        (b"\xef\xbb\xbf", Trouble.EMPTY),
        (b";;;\n;;;\n", Trouble.EMPTY),
        ("Телефон;Имя\r\n".encode(), Trouble.HEADER_ONLY),
        ("Телефон;Имя\r\n;\r\n\r\n".encode(), Trouble.HEADER_ONLY),
        (";".join(f"c{number}" for number in range(500)).encode() + b"\n89123456789\n", Trouble.TOO_MANY_COLUMNS),
    ],
)
def test_B8_a_file_without_people_is_refused_and_leaves_nothing(content, trouble, tmp_path):
    with pytest.raises(FileTroubleError) as refused:
        upload(content)
    assert refused.value.code is trouble
    assert not ImportJob.objects.exists()
    assert not list((tmp_path / "imports").iterdir())


def test_B8_one_column_without_a_header_is_a_list_of_phones():
    assert numbers(bring(b"89123456789\n89031112233\n12\n")) == {
        "imported": 2, "updated": 0, "duplicate": 0, "rejected": 1,
    }  # fmt: skip


def test_B3_a_header_in_line_3_and_lines_as_the_owner_counts():
    done = bring(text_file("Отчёт за май;;", "", "Телефон;Клиент;Сумма", "12;Пётр;5", "89123456789;Анна;7"))
    assert done.header_row == 3
    assert (done.imported, done.rejects.get().line) == (1, 4)


def test_B2_sep_line_and_quotes_and_lines_within_a_cell():
    done = bring(
        'sep=|\r\nТелефон|Имя|Заметка\r\n89123456789|"О""Нил"|"одна\nдве"\r\n'.encode("cp1251"), target_name="м"
    )
    assert (done.encoding, done.delimiter) == ("cp1251", "|")
    assert Contact.objects.get().name == 'О"Нил'
    assert ListMember.objects.get().variables == {"заметка": "одна две"}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\x.csv", "я" * 5000 + ".csv", "\u202evsc.exe", "<script>alert(1)</script>.csv"]
)
def test_B14_a_file_name_is_for_people_and_never_a_path(name, tmp_path):
    job = upload(b"phone\n89123456789\n", name)
    assert len(job.original_name) <= 200
    assert not {"/", "\\", "\u202e"} & set(job.original_name)
    (file,) = (tmp_path / "imports").iterdir()
    assert file.name == job.stored_name
    assert len(file.name) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    bring_in(job, target_name="")


def test_B13_a_workbook_named_csv_and_a_table_named_xlsx_are_what_they_are():
    assert upload(workbook(["Телефон"], [89123456789]), "клиенты.csv").kind == "xlsx"
    job = upload(text_file("Телефон;Имя", "89123456789;Анна"), "клиенты.xlsx")
    assert job.kind == "csv"
    assert bring_in(job, target_name="").imported == 1


def test_B11_a_workbook_goes_the_whole_way():
    done = bring(
        workbook(["Телефон", "ФИО", "Визитов"], [79123456789, "Иванова Анна", 3], ["7,9123E+10", "Пётр", 1]),
        "клиенты.xlsx",
        target_name="май",
    )
    assert numbers(done) == {"imported": 1, "updated": 0, "duplicate": 0, "rejected": 1}
    assert ListMember.objects.get().variables == {"визитов": "3"}
    assert done.rejects.get().line == 3


def test_nothing_of_the_file_stays_behind(tmp_path):
    done = bring(workbook(["Телефон"], [89123456789]), "клиенты.xlsx")
    assert not list((tmp_path / "imports").iterdir())
    assert staging.orphans([]) == []
    assert done.staging == ""


# --- what the owner corrects ------------------------------------------------------------------------------------


def test_the_owner_says_which_of_two_phones_is_the_one():
    job = upload(text_file("Телефон 1;Телефон 2;Имя", "89123456789;89031112233;Анна"))
    columns = imports.columns_of(job)
    imports.configure(
        job, imports.Choices(columns=[Column("Телефон 1", Field.SKIP), Column("Телефон 2", Field.PHONE), columns[2]])
    )
    bring_in(job, target_name="")
    assert Contact.objects.get().phone == "+79031112233"
    job = upload(text_file("Телефон 1;Телефон 2", "89123456789;89031112233"))
    imports.configure(job, imports.Choices(columns=[Column("1", Field.PHONE), Column("2", Field.PHONE)]))
    with pytest.raises(FileTroubleError) as refused:
        imports.request_run(job)
    assert refused.value.code is Trouble.TWO_COLUMNS


def test_an_encoding_chosen_by_the_owner_is_read_again():
    job = upload("Телефон;Имя\n89123456789;Ёж\n".encode("koi8-r"))
    imports.configure(job, imports.Choices(encoding="koi8-r"))
    assert (job.remarks, bring_in(job, target_name="").imported) == ([], 1)
    assert Contact.objects.get().name == "Ёж"


def test_a_list_name_that_is_taken_is_said_before_and_after_the_upload():
    ContactList.objects.create(name="май")
    job = upload(text_file("Телефон", "89123456789"), "май.csv")
    assert job.target_name == "май (2)"
    job.target_name = "май"
    with pytest.raises(FileTroubleError) as refused:
        imports.request_check(job)
    assert refused.value.code is Trouble.LIST_NAME_TAKEN


def test_without_a_list_the_other_columns_stay_on_the_card():
    bring(text_file("Телефон;Город", "89123456789;Пермь"))
    assert Contact.objects.get().attributes == {"город": "Пермь"}
    assert not ListMember.objects.exists()


def test_tags_for_everybody_reach_known_and_new_ones():
    Contact.objects.create(phone="+79123456789")
    job = upload(text_file("Телефон", "89123456789", "89031112233"))
    job.tags.add(Tag.objects.create(name="акция"))
    bring_in(job, target_name="")
    assert Contact.objects.filter(tags__name="акция").count() == 2


def test_a_derived_name_never_replaces_the_owners():
    Contact.objects.create(phone="+79123456789", name="Анечка")
    bring(text_file("Телефон;ФИО", "89123456789;Иванова Анна"))
    anna = Contact.objects.get()
    assert (anna.name, anna.full_name) == ("Анечка", "Иванова Анна")


# --- the books --------------------------------------------------------------------------------------------------

PEOPLE = [f"+7912000{number:04}" for number in range(6)]
SPELL = [
    lambda p: p, lambda p: "8" + p[2:], lambda p: p[2:], lambda p: f"8 ({p[2:5]}) {p[5:8]}-{p[8:10]}-{p[10:]}", lambda p: f"{p[1:]}.0",
]  # fmt: skip
MAILS = [f"client{number}@example.ru" for number in range(4)]
phones = st.one_of(
    st.builds(lambda person, spell: spell(person), st.sampled_from(PEOPLE), st.sampled_from(SPELL)),
    st.sampled_from(["", "", "12", "7,9123E+10", "8912000000", "нет"]),
)
texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
table = st.lists(
    st.tuples(phones, texts, st.sampled_from(["", "", "почта", *MAILS]), st.sampled_from(["да", "нет", "", "?"]), texts),
    min_size=1,
    max_size=12,
)  # fmt: skip
known = st.dictionaries(
    st.sampled_from(PEOPLE), st.tuples(st.sampled_from(["", *MAILS]), st.sampled_from(["unknown", "granted", "withdrawn"])), max_size=3
)  # fmt: skip


def expected(rows, base):
    """Say from the rows alone what must come of them: the numbers, and each person's consent."""
    counts = Counter()
    said = {}
    read = []
    for phone, _, email, consent, _ in rows:
        number = normalise(phone) if phone else None
        e164 = number.e164 if isinstance(number, Phone) else None
        mail = email if "@" in email else None
        if (phone and e164 is None) or not (e164 or mail):
            counts["rejected"] += 1
        else:
            read.append((e164, mail, {"да": True, "нет": False}.get(consent)))
    owners = {
        mail: {p for p, m, _ in read if m == mail and p} | {p for p, (m, _) in base.items() if m == mail}
        for mail in MAILS
    }
    for phone, mail, consent in read:
        key = phone or (next(iter(owners[mail])) if len(owners[mail]) == 1 else mail)
        counts["duplicate" if key in said else "updated" if key in base else "imported"] += 1
        said.setdefault(key, []).append(consent)
    state = {key: was for key, (_, was) in base.items()}
    for key, words in said.items():
        was = state.get(key, "unknown")
        if False in words:
            state[key] = "withdrawn"
        elif True in words and was == "unknown":
            state[key] = "granted"
        else:
            state[key] = was
    return {name: counts[name] for name in staging.VERDICTS}, state


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=table,
    base=known,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le", "utf-16"]),
    delimiter=st.sampled_from(";,\t|"),
    line_end=st.sampled_from(["\r\n", "\n", "\r"]),
)
def test_the_books_always_balance_and_the_preview_tells_the_truth(rows, base, encoding, delimiter, line_end):
    with transaction.atomic():
        for phone, (email, consent) in base.items():
            contact = Contact.objects.create(phone=phone, email=email or None)
            if consent != "unknown":
                consents.record(contact.pk, granted=consent == "granted", source="раньше")
        file = io.StringIO()
        # The csv module leaves a line end of the other kind without quotes.
        quoting = csv.QUOTE_MINIMAL if line_end == "\r\n" else csv.QUOTE_ALL
        writer = csv.writer(file, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
        writer.writerow(["Телефон", "ФИО", "E-mail", "Согласие", "Заметка"])
        # A first row that is certainly data, so that no file is headers only; its person is nobody else's.
        rows = [("89199999999", "Первая", "", "", ""), *rows]
        writer.writerows(rows)
        job = upload(file.getvalue().encode(encoding))
        imports.configure(job, imports.Choices(encoding=encoding, delimiter=delimiter, header_row=1))
        done = bring_in(job, target_name="список", consent_source="column")
        data_rows = [row for row in rows if any(cell and not cell.isspace() for cell in row)]
        wanted, state = expected(data_rows, base)
        assert numbers(done) == wanted
        assert done.rows_total == len(data_rows)
        now = {card.phone or card.email: card.marketing_consent for card in Contact.objects.all()}
        assert now == state
        for contact in Contact.objects.exclude(marketing_consent="unknown"):
            line = Consent.objects.filter(contact=contact).order_by("-id")[0]
            assert (contact.consent_id, line.granted) == (line.pk, contact.marketing_consent == "granted")
        assert ListMember.objects.count() == wanted["imported"] + wanted["updated"]
        transaction.set_rollback(True)


def test_birthdays_and_branches_reach_the_card():
    bring(text_file("Телефон;Дата рождения;Филиал;Часовой пояс", "89123456789;31.12.1990;Центр;+5"))
    anna = Contact.objects.get()
    assert (anna.birthday, anna.branch.name, anna.timezone) == (date(1990, 12, 31), "Центр", "Asia/Yekaterinburg")


def test_the_database_refuses_books_that_do_not_balance():
    done = bring(text_file("Телефон", "89123456789"))
    for wrong in ({"imported": 2}, {"rows_done": 0, "imported": 0}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ImportJob.objects.filter(pk=done.pk).update(**wrong)


def test_old_uploads_and_forgotten_tables_are_tidied(tmp_path):
    job = upload(text_file("Телефон", "89123456789"))
    imports.request_check(job)
    imports.work(job.pk)
    staging.create(staging.table_of(job.pk, "0" * 8))
    assert imports.forget_old() == 0
    assert len(staging.orphans([])) == 1
    ImportJob.objects.update(created_at=job.created_at - imports.KEEP_UPLOADS * 2)
    assert imports.forget_old() == 1
    assert staging.orphans([]) == []
    assert not list((tmp_path / "imports").iterdir())
