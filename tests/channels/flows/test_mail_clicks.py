"""Who followed the link of a letter: people count, machines are kept in the story and count for nothing."""

from __future__ import annotations

from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import Request, build_opener

from django.conf import LazySettings
from django.utils import translation
from django.utils.timezone import now

from deliveries.models import Attempt, Delivery, LinkVisit
from deliveries.selectors import timeline
from templates_app.models import MessageTemplate
from tests.channels.flows.conftest import Street, told
from tests.deliveries.live import run_until
from tests.deliveries.test_rules import Stay
from tests.plugins.processes import Processes

BROWSER = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"


def opened(url: str, method: str = "GET", agent: str = BROWSER) -> tuple[int, str]:
    """(status, where it leads or what it shows)."""
    try:
        with build_opener(Stay).open(Request(url, headers={"User-Agent": agent}, method=method), timeout=10) as page:
            return page.status, page.read().decode()
    except HTTPError as error:
        return error.code, error.headers.get("Location", "")


def test_people_count_and_machines_do_not(processes: Processes, street: Street, settings: LazySettings) -> None:
    web = processes.web().url
    settings.PUBLIC_BASE_URL = web
    mail = street.mailbox()
    cast = ["click", "scan", "silent", "silent", "silent", "silent"]
    people = street.cast(mail, cast)
    MessageTemplate.objects.create(name="Привет", text="{name}, вот: {link}", link="https://shop.example/sale")
    street.campaign(street.chain(mail, wait=timedelta(minutes=10), expect="read"), people)
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").count() == len(cast))
    early, late, asked, named = Attempt.objects.order_by("delivery__contact")[2:]

    status, page = opened(f"{web}/l/{early.client_ref}")
    assert status == 200
    assert 'href="https://shop.example/sale"' in page, "shown at once, and nobody said that it was"
    Attempt.objects.filter(pk=late.pk).update(accepted_at=now() - timedelta(minutes=2))
    assert opened(f"{web}/l/{late.client_ref}") == (302, "https://shop.example/sale")
    assert opened(f"{web}/l/{asked.client_ref}", "HEAD") == (302, "https://shop.example/sale")
    assert opened(f"{web}/l/{named.client_ref}", agent="BarracudaCentral scanner")[0] == 302

    run_until(processes, lambda: not LinkVisit.objects.filter(verdict="").exists())
    run_until(processes, lambda: [one[3] for one in told(mail)].count("clicked") == 2)
    assert [one[3] for one in told(mail)] == ["clicked", "accepted", "accepted", "clicked", "accepted", "accepted"]
    assert Delivery.objects.filter(outcome="reached", outcome_milestone="clicked").count() == 2
    robots = set(LinkVisit.objects.filter(verdict="robot").values_list("attempt__delivery__contact__name", flat=True))
    assert robots == {"Имя1", "Имя2", "Имя5"}
    scanned = Attempt.objects.order_by("delivery__contact")[1]
    with translation.override("en"):
        assert "opened by a robot" in " ".join(line.text for line in timeline(scanned.delivery_id))
    assert not LinkVisit.objects.filter(attempt=asked).exists(), "HEAD only asks where it leads"

    # Late enough, but with the link that nobody can see: a scanner all the same.
    Attempt.objects.filter(pk=early.pk).update(accepted_at=now() - timedelta(minutes=2))
    LinkVisit.objects.filter(attempt=early).delete()
    assert opened(f"{web}/l/{early.client_ref}")[0] == 302
    assert opened(f"{web}/l/{early.client_ref}/all")[0] == 404
    run_until(processes, lambda: not LinkVisit.objects.filter(verdict="").exists())
    assert set(LinkVisit.objects.filter(attempt=early).values_list("verdict", flat=True)) == {"robot"}
    assert told(mail)[2][3] == "accepted"

    # A scanner first, the person an hour later: counted.
    Attempt.objects.filter(pk=scanned.pk).update(accepted_at=now() - timedelta(hours=1))
    LinkVisit.objects.filter(attempt=scanned).update(at=now() - timedelta(hours=1))
    assert opened(f"{web}/l/{scanned.client_ref}")[0] == 302
    run_until(processes, lambda: told(mail)[1][3] == "clicked")
