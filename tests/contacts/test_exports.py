"""B15: what leaves the house is no formula anywhere, and comes back as it was."""

import csv
import io
import zipfile
from datetime import date

import pytest
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contacts import exports
from contacts.formulas import DANGEROUS, escape, unescape
from contacts.imports.values import clean
from contacts.models import Branch, Contact, ContactList, ListMember, Tag
from contacts.services import consents
from tests.contacts.conftest import bring

pytestmark = pytest.mark.django_db


@given(st.text(max_size=20) | st.text(alphabet="'=+-@\t＝", max_size=5))
def test_B15_escaping_is_undone_exactly_and_leaves_nothing_dangerous(value):
    assert unescape(escape(value)) == value
    assert not escape(value).startswith(DANGEROUS)


#: What a card can hold: every text the import or a form lets in, those that look like formulas more often.
texts = (
    (st.sampled_from(["", "=", "+", "-", "@", "＝", "＠", "'", "''=", '"', ";", "=HYPERLINK(1;2)"]) | st.just(""))
    .flatmap(lambda start: st.text(st.characters(blacklist_categories=["C", "Z"]), max_size=12).map(lambda end: start + end))
    .map(lambda text: clean(text)[0])
    .filter(lambda text: not text.startswith("#"))  # an error cell of a spreadsheet is emptied on the way in, on purpose
)  # fmt: skip
people = st.lists(
    st.fixed_dictionaries(
        {
            "email": st.none()
            | st.sampled_from(["a@b.ru", "-x@y.ru", "+tag@example.com", "'q@example.com", "=e@b.ru"]),
            "name": texts,
            "full_name": texts,
            "birthday": st.none() | st.dates(date(1900, 1, 2), date(2020, 1, 1)),
            "branch": st.none() | texts.filter(bool),
            "variables": st.dictionaries(st.sampled_from(["заказ", "master"]), texts.filter(bool), max_size=2),
        }
    ),
    min_size=1,
    max_size=4,
)


def make(people):
    roll = ContactList.objects.create(name="выгрузка")
    for number, person in enumerate(people):
        branch = Branch.objects.get_or_create(name=person["branch"])[0] if person["branch"] else None
        card = {key: person[key] for key in ("email", "name", "full_name", "birthday")}
        # A name that is empty while the full name is not would be derived from it on the way in.
        card["name"] = card["name"] or (card["full_name"] and "Анна")
        contact = Contact.objects.create(phone=f"+7912345{number:04}", branch=branch, **card)
        ListMember.objects.create(list=roll, contact=contact, variables=person["variables"])
    return roll


def state(roll):
    rows = ListMember.objects.filter(list=roll).order_by("contact__phone")
    return list(
        rows.values_list(
            "contact__phone", "contact__email", "contact__name", "contact__full_name", "contact__birthday",
            "contact__branch__name", "variables",
        )
    )  # fmt: skip


def as_file(rows, kind):
    if kind == "csv":
        return "".join(exports.csv_lines(rows)).encode()
    target = io.BytesIO()
    exports.write_xlsx(rows, target)
    return target.getvalue()


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=people)
@example(people=[{"email": "=e@b.ru", "name": "=1+1", "full_name": "'=2", "birthday": None, "branch": "-7",
                  "variables": {"заказ": "+5", "master": "''"}}])  # fmt: skip
def test_B15_a_downloaded_list_uploaded_again_gives_the_same_people(kind, people):
    with transaction.atomic():
        roll = make(people)
        before = state(roll)
        content = as_file(exports.list_rows(roll), kind)
        Contact.objects.all().delete()
        Branch.objects.all().delete()
        done = bring(content, f"list.{kind}", target_name="обратно")
        assert state(done.target) == before
        again = bring(content, f"list.{kind}", target=done.target)
        assert (again.imported, again.rejected) == (0, 0)
        assert state(done.target) == before
        transaction.set_rollback(True)


NASTY = ["=cmd|' /C calc'!A0", "+7", "-1", "@SUM(1)", "\t=1", "\r=1", "＝1", "'=1", "O'Neil", "Анна"]


def test_B15_no_cell_of_any_file_is_a_formula():
    rows = [["заголовок"], *[[escape(value)] for value in NASTY]]
    read = list(csv.reader(io.StringIO("".join(exports.csv_lines(rows)).lstrip("\ufeff"), newline=""), delimiter=";"))
    assert not any(cell.startswith(DANGEROUS) for row in read for cell in row)
    content = as_file(rows, "xlsx")
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml").decode()
        styles = parts.read("xl/styles.xml").decode()
    assert "<f>" not in sheet
    assert 'quotePrefix="1"' in styles
    # Every dangerous cell carries the mark; the harmless ones do not.
    assert sheet.count(' s="1"') == sum(value.startswith(DANGEROUS) for value in NASTY)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_B15_the_export_of_contacts_is_text_and_comes_back(admin_client, kind):
    branch = Branch.objects.create(name="=Центр")
    anna = Contact.objects.create(
        phone="+79123456789", email="-a@b.ru", name="=1+1", full_name="'Иванова", birthday=date(1990, 12, 31),
        branch=branch, timezone="Europe/Moscow", attributes={"город": "=Пермь"},
    )  # fmt: skip
    anna.tags.add(Tag.objects.create(name="VIP"), Tag.objects.create(name="=новые"))
    consents.record(anna.pk, granted=True, source="анкета")
    anna.refresh_from_db()
    number = {"csv": "0", "xlsx": "1"}[kind]
    chosen = {"format": number, "resource": ""} | {
        f"contactresource_{one}": "on" for one in exports.ContactResource().fields
    }
    answer = admin_client.post(reverse("admin:contacts_contact_export"), chosen)
    assert answer.status_code == 200, answer.content.decode()[:2000]
    content = answer.content if not answer.streaming else b"".join(answer.streaming_content)
    if kind == "csv":
        assert content.startswith(b"\xef\xbb\xbf")
        assert "'+79123456789;'-a@b.ru;'=1+1;''Иванова;31.12.1990;'=Центр;".encode() in content
    before = card(anna)
    anna.delete()
    Branch.objects.all().delete()
    done = bring(content, f"contacts.{kind}")
    assert (done.imported, done.rejected) == (1, 0)
    assert card(Contact.objects.get()) == before


def card(contact):
    return (
        contact.phone, contact.email, contact.name, contact.full_name, contact.birthday,
        contact.branch.name, contact.timezone, contact.marketing_consent, contact.attributes, sorted(tag.name for tag in contact.tags.all()),
    )  # fmt: skip


def test_rejects_come_with_line_column_reason_and_the_original_value(admin_client):
    done = bring("Телефон;Имя\r\n89123456789;Анна\r\n=12;Пётр\r\n;\r\n;Без номера\r\n7,9123E+10;Юля\r\n".encode())
    assert (done.imported, done.rejected) == (1, 3)
    url = reverse("admin:contacts_importjob_rejects", args=[done.pk, "csv"])
    text = b"".join(admin_client.get(url).streaming_content).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text), delimiter=";"))
    assert len(rows[0]) == 4
    assert [(line, column, value) for line, column, _, value in rows[1:]] == [
        ("3", "Телефон", "'=12"), ("5", "", ""), ("6", "Телефон", "7,9123E+10"),
    ]  # fmt: skip
    assert all(reason for _, _, reason, _ in rows[1:])
