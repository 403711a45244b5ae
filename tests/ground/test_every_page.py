"""Every page of the admin, with one object of every kind: it opens, it is Russian, and nothing typed breaks it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.ground.world import admin_pages, make_world

pytestmark = pytest.mark.django_db

#: Names nobody translates, and what an owner reads in Latin letters everywhere.
_NAMES = frozenset(
    re.findall(
        r"\w+",
        "Cascade SMS SMSC Telegram WhatsApp Viber MAX GREEN API SMTP IMAP SSL TLS STARTTLS CSV XLSX JSON HTML HTTP HTTPS URL UTF"
        " VK Callback POST PUT Bearer OFFICIAL Gateway Long Poll"
        " UniSender Go Mailgun Postmark Brevo Mailjet mailgun postmark brevo sendgrid mailjet sparkpost resend mailersend mailtrap"
        " mandrill"
        " KOI BOM DOS LE BE Excel Windows mail owner Celery cron Crontab UTC BotFather GSM UCS CRM IP PBKDF SHA RUB EUR USD"
        " Aero Stream Telecom Exolve SMS.RU RU KZT ID admin Admin csv xlsx link unsubscribe idInstance Control Command Mac Axes None Single Sing Sign On LDAP menu VPN"
        " https Avito visit_reminder Visit_reminder ru Wazzup Wazzup24 channelId QR Cloud WABA Meta FCM Firebase RuStore Google Web Push VAPID Zadarma SIP Asterisk ARI PJSIP listener",
    )
)
#: Pages of tools written by others for technicians; what of them shows to owners is held by test_catalogues.
_NOT_OURS = ("/admin/django_celery_beat/", "/admin/axes/")
#: A masked hash of a password, and the rows of a many-to-many table that Django lists before it deletes them.
_NOT_WORDS = re.compile(r"\*{5}|_\w+ object \(\d+\)")
_WORD = re.compile(r"(?<![\w@./:{<&=#-])[A-Za-z]{2,}(?![\w@/:}=-]|\.\w)")


@pytest.fixture(autouse=True)
def _own_media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    cache.clear()


def readable(html: str) -> str:
    """What a person reads: text and the attributes that are shown or read aloud."""
    soup = BeautifulSoup(html, "html.parser")
    for hidden in soup(["script", "style", "template", "code", "kbd", "textarea"]):
        hidden.decompose()
    for icon in soup.select(".material-symbols-outlined, [data-foreign]"):
        icon.decompose()
    shown = [soup.get_text("\n")]
    for name in ("placeholder", "title", "aria-label", "alt"):
        shown += [str(tag[name]) for tag in soup.select(f"[{name}]")]
    return "\n".join(shown)


def english_in(html: str) -> set[str]:
    """Lines with words that should have been Russian."""
    found = set()
    for line in readable(html).splitlines():
        words = [word for word in _WORD.findall(line) if word not in _NAMES]
        if words and not _NOT_WORDS.search(line):
            found.add(" ".join(line.split()))
    return found


_FINE = (200, 302, 400, 403, 404, 405)


def look(client: Client, url: str, query: dict[str, str] | None = None) -> tuple[Any, str]:
    """The answer and what is wrong with it ("" when nothing is): all faults of a crawl are told at once."""
    client.raise_request_exception = False
    mark = transaction.savepoint()
    answer = client.get(url, query or {})
    if answer.status_code in _FINE:
        return answer, ""
    # Else every later page would fail for this one's sake.
    transaction.savepoint_rollback(mark)
    error = answer.exc_info[1] if getattr(answer, "exc_info", None) else ""
    return answer, f"{answer.status_code} {url} {query or ''} {type(error).__name__}: {str(error)[:200]}"


def body_of(answer: Any) -> str:
    if answer.streaming:
        b"".join(answer.streaming_content)
        return ""
    return answer.content.decode() if answer["Content-Type"].startswith("text/html") else ""


@pytest.mark.slow
def test_every_page_opens_and_is_russian(admin_client: Client) -> None:
    make_world()
    english: dict[str, str] = {}
    faults = []
    for url in admin_pages():
        answer, fault = look(admin_client, url)
        faults.append(fault)
        for line in english_in("" if url.startswith(_NOT_OURS) else body_of(answer)):
            english.setdefault(line, url)
    assert not any(faults), "\n".join(filter(None, faults))
    assert not english, "\n".join(f"{url}: {line}" for line, url in sorted(english.items()))


@pytest.mark.slow
@pytest.mark.parametrize("rights", ["none", "view"])
def test_a_colleague_meets_no_stack_trace(rights: str) -> None:
    make_world()
    anna = User.objects.create_user("anna", password="x", is_staff=True)
    if rights == "view":
        anna.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(anna)
    faults = []
    for url in admin_pages():
        if url.endswith(("/history/", "/delete/")):
            continue  # Django's own, the same for every model
        answer, fault = look(client, url)
        faults.append(fault)
        body_of(answer)
    assert not any(faults), "\n".join(filter(None, faults))


ODD = ("'\"%_\\", "9" * 40, "a" * 500, "@")


@pytest.mark.slow
def test_no_search_filter_order_or_page_breaks_a_list(admin_client: Client) -> None:
    make_world()
    lists = [url for url in admin_pages() if not any(char.isdigit() for char in url) and url.endswith("/")]
    faults = []
    for url in lists:
        answer = admin_client.get(url)
        if answer.status_code != 200 or not answer.context or "cl" not in answer.context:
            continue
        names = {name for spec in answer.context["cl"].filter_specs for name in spec.expected_parameters() if name}
        asked: list[dict[str, str]] = [{"q": term} for term in ODD]
        asked += [{"p": "99999"}, {"p": "x"}, {"o": "x.-99"}, {"nothing__like__this": "1"}, {"e": "1"}, {"all": ""}]
        asked += [{name: "9" * 40} for name in names] + [dict.fromkeys(names, "x")]
        asked.append(dict.fromkeys((*names, "q"), "\0"))
        faults += [look(admin_client, url, query)[1] for query in asked]
    assert not any(faults), "\n".join(filter(None, faults))


def test_what_is_not_there_is_said_in_russian(admin_client: Client) -> None:
    for url in ("/admin/nothing/", "/nothing", reverse("admin:contacts_contact_consent", args=[10**9])):
        answer = admin_client.get(url)
        assert answer.status_code == 404
        assert not english_in(answer.content.decode()), url
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/admin/login/", {"username": "x", "password": "y"}).status_code == 403
