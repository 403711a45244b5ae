"""manage.py import_contacts: thin, honest exit codes, one JSON line for scripts."""

import io
import json
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from contacts.models import Consent, Contact, ContactList, ImportJob, ListMember
from contacts.services import imports
from tests.contacts.conftest import text_file

pytestmark = pytest.mark.django_db

FILE = text_file(
    "Телефон;ФИО;Контакт;Город",
    "89123456789;Иванова Анна;1;Пермь",
    "8 912 345 67 89;;;",
    "12;Пётр;;",
    encoding="cp1251",
)


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "клиенты.csv"
    found.write_bytes(FILE)
    return found


def run(*arguments):
    out = io.StringIO()
    call_command("import_contacts", *map(str, arguments), "--json", stdout=out)
    return json.loads(out.getvalue())


def refusal(*arguments):
    with pytest.raises(CommandError) as refused:
        run(*arguments)
    return str(refused.value), refused.value.returncode


def test_a_dry_run_says_what_the_run_does_and_leaves_nothing(path, tmp_path):
    foretold = run(path, "--list", "май", "--dry-run")
    assert not Contact.objects.exists()
    assert not ImportJob.objects.exists()
    assert not ContactList.objects.exists()
    done = run(path, "--list", "май")
    same = ("rows", "imported", "updated", "duplicate", "rejected")
    assert [foretold[name] for name in same] == [done[name] for name in same] == [3, 1, 0, 1, 1]
    assert ContactList.objects.get().pk == done["list"]
    assert not list((tmp_path / "imports").iterdir())
    again = run(path, "--list", "май")
    assert (again["imported"], again["updated"], again["list"]) == (0, 1, done["list"])


def test_everything_can_be_corrected(path):
    run(path, "--list", "май", "--mapping", "Контакт=skip,Город=attribute", "--consent", "анкета, май", "--tag", "VIP", "--tag", "новые",
        "--encoding", "cp1251", "--delimiter", ";", "--header-row", 1)  # fmt: skip
    anna = Contact.objects.get()
    assert anna.attributes == {"город": "Пермь"}
    assert ListMember.objects.get().variables == {}
    assert sorted(tag.name for tag in anna.tags.all()) == ["VIP", "новые"]
    assert Consent.objects.get().wording == "анкета, май"


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        ([], "file", 2),
        (["нет.csv"], "no such file", 2),
        (["--resume", "999"], "999", 2),
        (["{path}", "--mapping", "Контакт=nonsense"], "nonsense", 2),
        (["{path}", "--mapping", "Нет такого=phone"], "Нет такого", 2),
        (["{path}", "--consent", "да"], "", 1),
        (["{path}", "--consent-column"], "", 1),
        (["{empty}"], "", 1),
    ],
)
def test_a_refusal_says_why_and_leaves_nothing(arguments, said, code, path, tmp_path):
    (tmp_path / "empty.csv").write_bytes(b"")
    names = {"path": path, "empty": tmp_path / "empty.csv"}
    text, returned = refusal(*(one.format(**names) for one in arguments))
    assert said in text
    assert len(text) > 10
    assert returned == code
    assert not Contact.objects.exists()
    assert not ImportJob.objects.exists()


def test_a_stopped_import_goes_on(path):
    job = imports.open_upload(imports.FileUpload(path))
    imports.cancel(job)
    assert run("--resume", job.pk)["imported"] == 1
    text, code = refusal("--resume", job.pk)
    assert (str(job.pk) in text, code) == (True, 1)


def test_the_help_page_explains_it_and_nonsense_ends_with_2():
    helped = subprocess.run(
        [sys.executable, "manage.py", "import_contacts", "--help"], capture_output=True, text=True, check=True
    )
    for word in ("--dry-run", "--mapping", "--consent-column", "--resume", "--json", "Exit code"):
        assert word in helped.stdout
    wrong = subprocess.run(
        [sys.executable, "manage.py", "import_contacts", "--nonsense"], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Traceback" not in wrong.stderr
