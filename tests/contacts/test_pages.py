"""Every page an owner can open or press: it answers, it says what to do, it never ends in a stack trace."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from contacts.models import (
    Branch,
    Contact,
    ContactList,
    ImportJob,
    ImportStatus,
    ListMember,
    Suppression,
    SuppressionScope,
    Tag,
)
from contacts.services import consents, imports, suppressions

pytestmark = pytest.mark.django_db

CSV = "Телефон;ФИО;Согласие;Заказ\r\n+7 912 345-67-89;Иванова Анна Петровна;да;17\r\n12345;Пётр;нет;18\r\n89123456789;;нет;\r\n"

CSV_1251 = CSV.encode("cp1251")


def upload(client, content=CSV_1251, name="список.csv"):
    return client.post(
        reverse("admin:contacts_importjob_add"), {"file": SimpleUploadedFile(name, content)}, follow=True
    )


def step(client, job, name, **data):
    return client.post(reverse("admin:contacts_importjob_step", args=[job.pk, name]), data, follow=True)


def choices(job, **more):
    return {
        "encoding": job.encoding,
        "delimiter": {";": "semicolon", ",": "comma"}.get(job.delimiter, ""),
        "quoted": "on",
        "sheet": job.sheet,
        "header_row": job.header_row,
        "target_name": job.target_name,
        "consent_source": "column",
    } | more


def test_from_the_file_to_the_list(admin_client):
    page = upload(admin_client)
    assert "Иванова Анна Петровна" in page.content.decode()
    job = ImportJob.objects.get()
    assert job.consent_source == "column"  # the file has one; the owner sees the choice and may change it
    page = step(admin_client, job, "columns", check="1", **choices(job))
    job.refresh_from_db()
    assert job.status == ImportStatus.CHECKED, page.content.decode()
    assert "12345" in page.content.decode()
    for verdict in ("imported", "rejected", "warned", "nonsense"):
        assert admin_client.get(page.redirect_chain[-1][0], {"verdict": verdict}).status_code == 200
    assert Contact.objects.count() == 0
    page = step(admin_client, job, "run")
    job.refresh_from_db()
    assert job.status == ImportStatus.RUNNING
    assert admin_client.get(page.redirect_chain[-1][0], {"part": "1"}).status_code == 200
    imports.work(job.pk)
    job.refresh_from_db()
    assert (job.status, job.imported, job.updated, job.duplicates, job.rejected) == ("done", 1, 0, 1, 1)
    contact = Contact.objects.get()
    assert (contact.phone, contact.name, contact.marketing_consent) == ("+79123456789", "Анна", "withdrawn")
    assert ListMember.objects.get().variables == {"заказ": "17"}
    assert admin_client.get(page.redirect_chain[-1][0], {"part": "1"}).status_code == 204
    result = admin_client.get(page.redirect_chain[-1][0]).content.decode()
    assert "12345" in result
    assert reverse("admin:campaigns_campaign_add") + f"?lists={job.target_id}" in result
    rejects = admin_client.get(reverse("admin:contacts_importjob_rejects", args=[job.pk, "csv"]))
    assert "3;Телефон;" in b"".join(rejects.streaming_content).decode("utf-8-sig")
    assert admin_client.get(reverse("admin:contacts_importjob_rejects", args=[job.pk, "xlsx"])).status_code == 200
    for kind in ("csv", "xlsx"):
        url = reverse("admin:contacts_contactlist_download", args=[job.target_id, kind])
        assert b"".join(admin_client.get(url).streaming_content)


def test_a_consent_column_is_used_unless_the_owner_says_otherwise(admin_client):
    upload(admin_client)
    assert ImportJob.objects.get().consent_source == "column"
    upload(admin_client, b"phone\n89123456789\n")
    assert ImportJob.objects.order_by("-pk")[0].consent_source == "none"


def test_a_list_leads_to_a_campaign_to_it(admin_client):
    roll = ContactList.objects.create(name="май")
    page = admin_client.get(reverse("admin:contacts_contactlist_write_to_them", args=[roll.pk]), follow=True)
    assert page.status_code == 200
    assert page.redirect_chain[0][0] == reverse("admin:campaigns_campaign_add") + f"?lists={roll.pk}"


def test_the_owner_corrects_encoding_and_separator(admin_client):
    upload(admin_client, "Телефон;Имя\n89123456789;Анна\n".encode("koi8-r"))
    job = ImportJob.objects.get()
    step(admin_client, job, "columns", **choices(job, encoding="cp1251"))
    job.refresh_from_db()
    assert job.encoding == "cp1251"
    page = step(admin_client, job, "columns", **choices(job, encoding="koi8-r"))
    assert "Анна" in page.content.decode()


def test_what_is_missing_is_said_on_the_page(admin_client):
    upload(admin_client, b"a;b\nx;y\n")
    job = ImportJob.objects.get()
    page = step(admin_client, job, "columns", check="1", **choices(job))
    assert "телефон" in page.content.decode().lower() or "phone" in page.content.decode().lower()
    page = step(admin_client, job, "columns", check="1", **choices(job, consent_source="everybody"))
    job.refresh_from_db()
    assert job.status == ImportStatus.UPLOADED


@pytest.mark.parametrize(
    "content",
    [b"", b"%PDF-1.4", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"<html><table>", b"PK\x03\x04rubbish", b"MZ\0\0", b"\n\n"],
)
def test_a_refused_file_leaves_advice_and_nothing_else(admin_client, content, tmp_path):
    page = upload(admin_client, content, "<script>alert(1)</script>.csv")
    assert page.status_code == 200
    assert 'role="alert"' in page.content.decode()
    assert "<script>alert" not in page.content.decode()
    assert not ImportJob.objects.exists()
    assert not list((tmp_path / "imports").iterdir())


def test_pressing_twice_and_late_is_harmless(admin_client):
    upload(admin_client)
    job = ImportJob.objects.get()
    step(admin_client, job, "columns", check="1", **choices(job))
    for name in ("run", "run", "back", "columns", "cancel", "nonsense"):
        assert step(admin_client, job, name, **choices(job)).status_code == 200
    assert admin_client.get(reverse("admin:contacts_importjob_step", args=[job.pk, "run"])).status_code == 302
    imports.work(job.pk)
    job.refresh_from_db()
    assert job.status == ImportStatus.CANCELLED


def test_a_lost_file_and_lost_rows_are_said(admin_client):
    upload(admin_client)
    job = ImportJob.objects.get()
    imports.remove_file(job)
    assert (
        'role="alert"' in admin_client.get(reverse("admin:contacts_importjob_change", args=[job.pk])).content.decode()
    )
    ImportJob.objects.filter(pk=job.pk).update(status="checked", staging="contacts_import_1_00000000", rows_total=1)
    assert (
        'role="alert"' in admin_client.get(reverse("admin:contacts_importjob_change", args=[job.pk])).content.decode()
    )


def test_every_list_and_form_answers(admin_client):
    anna = Contact.objects.create(phone="+79123456789", name="Анна", full_name="Иванова Анна", email="anna@example.ru")
    consents.record(anna.pk, granted=True, source="form")
    suppressions.suppress("89031112233", SuppressionScope.ALL, "", "")
    Branch.objects.create(name="Центр")
    Tag.objects.create(name="VIP")
    roll = ContactList.objects.create(name="список")
    ListMember.objects.create(list=roll, contact=anna)
    for model in ("branch", "tag", "contact", "contactlist", "suppression", "importjob"):
        assert admin_client.get(reverse(f"admin:contacts_{model}_changelist")).status_code == 200, model
        assert admin_client.get(reverse(f"admin:contacts_{model}_add")).status_code == 200, model
    for model, pk in (("contact", anna.pk), ("contactlist", roll.pk), ("suppression", Suppression.objects.get().pk)):
        assert admin_client.get(reverse(f"admin:contacts_{model}_change", args=[pk])).status_code == 200, model
    export = admin_client.get(reverse("admin:contacts_contact_export"))
    assert "contacts/admin.css" in export.content.decode()
    assert admin_client.get(reverse("admin:contacts_contact_consent", args=[anna.pk])).status_code == 200
    assert admin_client.get(reverse("admin:contacts_contact_stop", args=[anna.pk])).status_code == 200


@pytest.mark.parametrize(
    "term",
    ["8 (912) 345-67-89", "+7912", "912 345", "89123456789", "Анна", "иван", "Иванова Анна", "ANNA@exam", "anna"],
)
def test_a_person_is_found_by_whatever_is_known(admin_client, term):
    Contact.objects.create(phone="+79123456789", name="Анна", full_name="Иванова Анна", email="anna@example.ru")
    Contact.objects.create(phone="+79031112233", name="Пётр")
    page = admin_client.get(reverse("admin:contacts_contact_changelist"), {"q": term})
    assert page.context["cl"].result_count == 1, term


def test_the_card_takes_phones_in_any_spelling_and_keeps_what_came_meanwhile(admin_client):
    data = {
        "phone": "8 (912) 345-67-89",
        "email": "Anna@Example.ru",
        "name": "Анна",
        "full_name": "",
        "birthday": "",
        "timezone": "",
        "attributes": "{}",
        "branch": "",
        **{
            f"{prefix}-{key}": 0
            for prefix in ("consents", "reachability", "addresses", "memberships")
            for key in ("TOTAL_FORMS", "INITIAL_FORMS")
        },
    }
    page = admin_client.post(reverse("admin:contacts_contact_add"), data)
    assert page.status_code == 302, page.context["adminform"].form.errors
    anna = Contact.objects.get()
    assert (anna.phone, anna.email) == ("+79123456789", "anna@example.ru")
    page = admin_client.post(reverse("admin:contacts_contact_add"), data | {"phone": "7,9123E+10"})
    assert page.status_code == 200
    suppressions.suppress("89123456789", SuppressionScope.ALL, "", "")
    page = admin_client.post(reverse("admin:contacts_contact_change", args=[anna.pk]), data | {"name": "Аня"})
    assert page.status_code == 302, page.context["adminform"].form.errors
    anna.refresh_from_db()
    assert (anna.name, anna.suppressed) == ("Аня", SuppressionScope.ALL)


def test_consent_and_stop_from_the_card(admin_client):
    anna = Contact.objects.create(phone="+79123456789")
    url = reverse("admin:contacts_contact_consent", args=[anna.pk])
    assert admin_client.post(url, {"granted": "1", "purpose": "marketing", "source": ""}).status_code == 200
    said = {"granted": "1", "purpose": "marketing", "source": "анкета", "evidence": "№ 5"}
    assert admin_client.post(url, said).status_code == 302
    stop = reverse("admin:contacts_contact_stop", args=[anna.pk])
    assert admin_client.post(stop, {"scope": "2", "reason": "просила"}).status_code == 302
    anna.refresh_from_db()
    assert (anna.marketing_consent, anna.suppressed) == ("granted", SuppressionScope.ALL)


def test_the_stop_list_is_filled_and_released_with_a_confirmation(admin_client):
    anna = Contact.objects.create(phone="+79123456789")
    add = reverse("admin:contacts_suppression_add")
    assert admin_client.post(add, {"address": "Анна", "scope": "1"}).status_code == 200
    assert admin_client.post(add, {"address": "8 912 345 67 89", "scope": "1", "reason": ""}).status_code == 302
    assert admin_client.post(add, {"address": "+79123456789", "scope": "2", "reason": ""}).status_code == 302
    entry = Suppression.objects.get()
    anna.refresh_from_db()
    assert anna.suppressed == entry.scope == SuppressionScope.ALL
    page = admin_client.get(reverse("admin:contacts_suppression_changelist"), {"q": "9123456789"})
    assert page.context["cl"].result_count == 1
    delete = reverse("admin:contacts_suppression_delete", args=[entry.pk])
    assert admin_client.get(delete).status_code == 200
    assert admin_client.post(delete, {"post": "yes"}).status_code == 302
    anna.refresh_from_db()
    assert anna.suppressed == SuppressionScope.NONE
