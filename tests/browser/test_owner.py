"""From an empty installation to a report: an owner walks through Cascade alone, at a desk and on a phone.

Real web, worker, beat and emulator processes; the only thing told to the emulator is who has the messenger.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from campaigns.models import Campaign, CampaignStatus
from channels.models import Chain, Channel
from contacts.models import ImportJob
from templates_app.models import MessageTemplate
from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.slow]

NAMES = [
    "Анна", "Мария", "Елена", "Ольга", "Наталья", "Ирина", "Татьяна", "Светлана", "Екатерина", "Юлия",
    "Людмила", "Галина", "Вера", "Надежда", "Дарья", "Алина", "Полина", "Ксения", "Марина", "Алексей",
    "Сергей", "Дмитрий", "Андрей", "Иван", "Михаил", "Николай", "Павел", "Виктор", "Олег", "Игорь",
]  # fmt: skip
#: Who has the messenger: every second one.
PEOPLE = [(name, f"+7916{index * 41:07d}") for index, name in enumerate(NAMES)]


def goods(index: int) -> str:
    return "мангал" if index % 2 else "садовый зонт"


def shop_file(folder: Path) -> Path:
    """A till's export as owners have it: cp1251, semicolons, a doubled person, a broken phone, an own column."""
    written = io.StringIO()
    rows = csv.writer(written, delimiter=";", lineterminator="\r\n")
    rows.writerow(["Телефон", "Имя", "Товар", "Согласие"])
    for index, (name, phone) in enumerate(PEOPLE):
        spelling = f"8 ({phone[2:5]}) {phone[5:8]}-{phone[8:10]}-{phone[10:]}" if index % 3 == 0 else phone
        rows.writerow([spelling, name, goods(index), "да"])
    rows.writerow([PEOPLE[0][1], "Анна", "мангал", "да"])
    rows.writerow(["12345", "Пётр", "мангал", "да"])
    path = folder / "Покупатели.csv"
    path.write_bytes(written.getvalue().encode("cp1251"))
    return path


def teach_the_emulator(site: Site) -> None:
    """Every second person has the messenger and reads; of the others half have none and half stay silent."""
    has = [phone for index, (_, phone) in enumerate(PEOPLE) if index % 2]
    none = [phone for index, (_, phone) in enumerate(PEOPLE) if index % 4 == 0]
    silent = [phone for index, (_, phone) in enumerate(PEOPLE) if index % 4 == 2]
    green = {"provider": "green"}
    rules = [
        {"digits": False},
        {
            **green,
            "recipients": has,
            "steps": [{"after": 0.1, "status": "delivered"}, {"after": 0.4, "status": "read"}],
        },
        {**green, "recipients": none, "steps": [{"after": 0.1, "status": "not_registered"}]},
        {**green, "recipients": silent, "steps": [{"after": 0.1, "status": "sent"}]},
        {"provider": "smsc", "behaviour": "delivered", "steps": [{"after": 0.2, "status": "delivered"}]},
    ]
    site.tell("rules", rules=rules)
    for provider, price, charged_on in (("green", "2.60", "delivered"), ("smsc", "4.80", "accepted")):
        site.tell("accounts", provider=provider, account="*", price=price, charged_on=charged_on)


def test_from_an_empty_house_to_a_report(site: Site, tmp_path: Path) -> None:
    teach_the_emulator(site)
    site.log_in()
    site.look()
    connect_sms(site)
    connect_messenger(site)
    upload_people(site, tmp_path)
    build_a_chain(site)
    write_a_text(site)
    plan_a_campaign(site)
    launch_it(site)
    watch_it(site)
    ask_about_one_person(site)


# ---------------------------------------------------------------- the way


def connect_sms(site: Site) -> None:
    """Provider, form, self-test, a test to the owner."""
    site.open("/admin/channels/channel/")
    site.look("channels-empty")
    site.press("a[href$='?provider=smsc']")
    site.look("channel-smsc")
    site.save()
    site.look()  # nothing filled in: told what is missing, on the same page
    assert Channel.objects.count() == 0
    site.fill("name", "SMS через SMSC")
    site.fill("config__apikey", "demo-key")
    site.fill("price", "4.80")
    open_folded(site, "base_url")
    site.fill("base_url", f"{site.emulator}/smsc")
    site.save()
    site.at(r"/channel/\d+/change/")  # it has checked the connection by itself meanwhile
    site.sees("Баланс: 1\u00a0000\u00a0000,00")  # the emulator's
    site.look("channel-checked")
    site.press("form[action$='/check/'] button")  # and does so again when asked
    site.press("a[href$='/test/']")
    site.fill("address", "8 916 000-00-41")
    site.look("channel-test")
    site.press("form[method='post'] button[type='submit']:has-text('4,80')")
    site.at(r"/channel/\d+/change/")
    # The page asks by itself until the provider has said what became of it.
    expect(site.page.locator("[data-step='heard'][data-mark='done']")).to_be_visible(timeout=30_000)
    site.look()


def open_folded(site: Site, name: str) -> None:
    """Unfold the group a field is in, as a person does: by its heading."""
    if not site.field(name).is_visible():
        site.page.locator("details", has=site.page.locator(f"[name='{name}']")).locator("summary").click()
    expect(site.field(name)).to_be_visible()


def connect_messenger(site: Site) -> None:
    site.open("/admin/channels/channel/add/")
    site.look("channel-choose")
    site.fill("q", "вотсап")
    expect(site.page.locator("a[href$='?provider=smsc']")).to_be_hidden()
    site.press("a[href$='?provider=green_api_whatsapp']")
    site.fill("name", "WhatsApp магазина")
    site.fill("config__id_instance", "1101000001")
    site.fill("config__api_token", "demo-token")
    site.fill("price", "2.60")
    site.choose("charged_on", "delivered")
    open_folded(site, "base_url")
    site.fill("base_url", f"{site.emulator}/green")
    site.save()
    site.at(r"/channel/\d+/change/")
    site.look("channel-whatsapp")
    # Said in words: no provider calls back without https. Here the emulator is told instead.
    expect(site.page.locator("[data-step='receipts']")).to_contain_text("https")
    channel = Channel.objects.get(provider="green_api_whatsapp")
    hook = f"{site.url}/hooks/{channel.pk}/{channel.callback_secret}/"
    site.tell("callback_target", provider="green", account="*", url=hook, secret=channel.callback_secret)
    site.open("/admin/channels/channel/")
    site.look("channels")
    assert Channel.objects.filter(state__breaker="closed").count() == 2


def upload_people(site: Site, folder: Path) -> None:
    """File, columns, preview, import."""
    site.open("/admin/contacts/importjob/add/")
    site.look("import-upload")
    site.field("file").set_input_files(shop_file(folder))
    site.press("form[enctype] button[type='submit']")
    site.look("import-columns")
    site.press("button[name='check']")
    expect(site.page.locator("form[action$='/step/run/'] button")).to_be_visible(timeout=30_000)
    site.look("import-preview")
    site.press("form[action$='/step/run/'] button")
    expect(site.page.locator("a.cc-button[href*='contactlist']").last).to_be_visible(timeout=30_000)
    site.look("import-done")
    job = ImportJob.objects.get()
    assert (job.imported, job.duplicates, job.rejected) == (len(PEOPLE), 1, 1)


def build_a_chain(site: Site) -> None:
    """Two steps in the wrong order, a wait each, put right by a button; no preset, to try every handle."""
    site.open("/admin/channels/chain/add/")
    site.look("chain-new")
    site.fill("name", "WhatsApp → SMS")
    add_step(site, 0, "SMS через SMSC", "15", "minutes")
    add_step(site, 1, "WhatsApp магазина", "5", "seconds")
    # By keyboard: whoever cannot drag has the arrows.
    site.page.locator(".form-group:has([name='steps-1-channel']) [data-move='-1']").press("Enter")
    site.look("chain-steps")
    site.save()
    steps = [(step.channel.name, int(step.wait.total_seconds())) for step in Chain.objects.get().steps.all()]
    assert steps == [("WhatsApp магазина", 5), ("SMS через SMSC", 900)]
    site.open(f"/admin/channels/chain/{Chain.objects.get().pk}/change/")
    site.look("chain")
    site.open("/admin/channels/chain/")
    site.look("chains")


def add_step(site: Site, index: int, channel: str, number: str, unit: str) -> None:
    site.page.locator("#steps-group .add-row a, #steps-group a.add-row").last.click()
    site.choose(f"steps-{index}-channel", channel)
    site.choose(f"steps-{index}-expect", "delivered")
    site.fill(f"steps-{index}-wait_0", number)
    site.choose(f"steps-{index}-wait_1", unit)


def write_a_text(site: Site) -> None:
    """{name} and a column of the file; a slip is shown while typing and refused when saving; SMS has its own text."""
    site.open("/admin/templates_app/messagetemplate/add/")
    site.look("template-new")
    site.fill("name", "Скидка на мангалы")
    site.fill("text", "{nmae|Здравствуйте}, скидка 15% на {товар} до 12 мая! Отписка: СТОП")
    expect(site.page.locator(".cascade-live[data-level='error']").first).to_contain_text("nmae")
    site.save()
    site.look("template-mistake")
    assert not MessageTemplate.objects.exists()
    site.fill("text", "{name|Здравствуйте}, скидка 15% на {товар} до 12 мая! Отписка: СТОП")
    site.page.locator("#variants-group .add-row a, #variants-group a.add-row").last.click()
    site.choose("variants-0-kind", "sms")
    site.fill("variants-0-text", "{name|Здравствуйте}, -15% на {товар} до 12.05. Отписка СТОП")
    # Three people of the list, each with their own name and what the file says they bought.
    bought = {name: goods(index) for index, name in enumerate(NAMES)}
    shown = site.page.locator("#template-preview-out .cascade-preview")
    expect(shown.first).to_contain_text("-15%")
    for words in shown.all_inner_texts():
        name = words.split(",")[0]
        assert words == f"{name}, -15% на {bought[name]} до 12.05. Отписка СТОП"
    site.look("template")
    site.save()
    assert MessageTemplate.objects.get().variants.get().kind == "sms"
    site.open("/admin/templates_app/messagetemplate/")
    site.look("templates")


def plan_a_campaign(site: Site) -> None:
    """What, how, whom, when; then the figures."""
    site.open("/admin/campaigns/campaign/")
    site.look("campaigns-empty")
    site.open("/admin/campaigns/campaign/add/")
    site.fill("name", "Скидка 15% на мангалы")
    site.pick("template", "Скидка на мангалы")
    site.pick("chain", "WhatsApp")
    site.look("campaign-new")
    site.save()
    site.look("preflight-nobody")  # nobody is chosen yet: said, and no launch possible
    expect(site.page.locator("button[popovertarget='launch']")).to_be_disabled()
    site.page.go_back()
    site.open(f"/admin/campaigns/campaign/{Campaign.objects.get().pk}/change/")
    site.pick("lists", "Покупатели")
    site.look("campaign")
    site.save()
    site.look("preflight")
    site.sees("30")
    site.press("a[href$='/test/']")
    for box in site.page.locator(".cp-field input").all():
        box.fill("8 916 000-00-41")
    site.press(".cp-field ~ .cp-row button, form .cp-row button")
    site.look("campaign-test")


def launch_it(site: Site) -> None:
    """Asked once more, with the money, before anything is spent."""
    site.open(f"/admin/campaigns/campaign/{Campaign.objects.get().pk}/preflight/")
    launch = site.page.locator("button.is-primary[popovertarget='launch']")
    question = site.page.locator("#launch")
    launch.click()
    expect(question).to_contain_text("₽")
    site.look("launch")
    question.locator("[popovertargetaction='hide']").click()
    expect(question).to_be_hidden()
    assert Campaign.objects.get().status == CampaignStatus.DRAFT
    launch.click()
    site.press("#launch form button.is-primary")
    site.at(r"/page/")


def watch_it(site: Site) -> None:
    """The report moves by itself until everybody has an outcome; nobody presses anything."""
    live = site.page.locator("[data-live]")
    expect(live).to_contain_text("WhatsApp магазина")
    site.look("live")
    # The page says so itself, without being loaded again.
    expect(live.locator(".cp-bar").first).to_have_attribute("aria-label", re.compile("30.*30"), timeout=60_000)
    site.processes.until(lambda: Campaign.objects.get().status == CampaignStatus.FINISHED, what="the campaign's end")
    site.page.reload()
    report = site.page.locator(".cp").first
    # 15 by messenger at 2.60 on delivery, the others by SMS at 4.80: 39.00 + 72.00 against 144.00.
    for words in ("111,00", "144,00"):
        expect(report).to_contain_text(words)
    site.look("report")
    site.open("/admin/campaigns/campaign/")
    site.look("campaigns")


def ask_about_one_person(site: Site) -> None:
    """Why did this person get an SMS? From the report to the story of the delivery, and on to the person's page."""
    site.open(f"/admin/analytics/campaignreport/{Campaign.objects.get().pk}/page/?who=Елена")
    site.press("#people table a")
    site.at(r"/delivery/\d+/change/")
    expect(site.page.locator(".cp-line").last).to_be_visible()
    site.sees("WhatsApp магазина")
    site.sees("SMS через SMSC")
    site.look("delivery")
    site.press(".cp a[href*='/contacts/contact/']")
    expect(site.page.locator("#content-main")).to_contain_text("Скидка 15% на мангалы")  # all that was ever sent
    site.look("contact")
