"""Notifications in a real Chromium: a person subscribes by the link of a message, gets one, and opens it.

The one thing that is not real is the push service between us and the browser: it stands on the internet. The emulator
takes its place towards the engine, Chromium's own debugging door delivers what it took.
"""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.request import urlopen

from django.conf import LazySettings
from playwright.sync_api import Browser, Page

from channels.services.accounts import app_url, create_channel
from contacts.models import ContactAddress
from deliveries.models import Attempt
from templates_app.models import MessageTemplate
from tests.deliveries.live import requests_of
from tests.deliveries.shop import Shop
from tests.plugins.processes import Processes

#: The browser's own question to its push service, answered by the emulator's subscription.
ANSWER = """(subscription) => {
    PushManager.prototype.subscribe = async () => ({ ...subscription, toJSON: () => subscription });
}"""
TAP = """async () => {
    const [notification] = await self.registration.getNotifications();
    self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
    return notification.body;
}"""


def deliver(page: Page, origin: str, told: dict[str, str]) -> None:
    """As the push service would."""
    session = page.context.new_cdp_session(page)
    found: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.extend(each["registrationId"] for each in event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    page.wait_for_function("navigator.serviceWorker.ready.then(() => true)")
    facts = {"origin": origin, "registrationId": found[0], "data": json.dumps(told)}
    session.send("ServiceWorker.deliverPushMessage", facts)


def test_a_person_subscribes_by_the_link_of_a_message_and_reads_in_the_browser(
    chromium: Browser, processes: Processes, settings: LazySettings
) -> None:
    emulator, web = processes.emulator(), processes.web()
    processes.worker(concurrency=2, environment={"PUBLIC_BASE_URL": web.url})
    processes.beat()
    settings.PUBLIC_BASE_URL = web.url
    shop = Shop(emulator=emulator.url)
    config = {"title": "Салон «Ёж»", "subject": "mailto:a@salon.example", "hosts": "push.emulated.example"}
    push = create_channel("web_push", "Браузер", config, base_url=f"{emulator.url}/web_push", rate=1000.0)
    MessageTemplate.objects.create(name="Привет", text="Уведомления: {link}", link=app_url(push))
    people = shop.people(1)
    shop.campaign(shop.chain(shop.sms(), wait=timedelta(hours=1)), people)
    processes.until(lambda: requests_of(shop, provider="smsc"))
    link = requests_of(shop, provider="smsc")[0]["text"].rpartition(" ")[2]

    context = chromium.new_context(locale="ru-RU", permissions=["notifications"])
    page = context.new_page()
    with urlopen(f"{emulator.url}/web_push/subscription/anya", timeout=10) as answer:
        page.add_init_script(f"({ANSWER})({answer.read().decode()})")
    page.goto(link)
    page.get_by_role("button").click()
    page.locator("[data-cascade-push-state=done]").wait_for(state="visible")
    assert page.get_by_role("button").count() == 0
    assert ContactAddress.objects.get(channel_id=push.pk).contact.phone == "+79120000000"

    shop.campaign(shop.chain(push, wait=timedelta(hours=1), expect="read"), people)
    processes.until(lambda: requests_of(shop, provider="web_push"))
    attempt = Attempt.objects.get(channel=push)
    told = {"ref": attempt.client_ref, "key": attempt.client_ref, "title": "Салон «Ёж»", "body": "Ждём вас"}
    deliver(page, web.url, told)
    processes.until(lambda: Attempt.objects.filter(pk=attempt.pk, delivered_at__isnull=False).exists())
    assert Attempt.objects.get(pk=attempt.pk).read_at is None, "shown is not opened"
    assert context.service_workers[0].evaluate(TAP) == "Ждём вас"
    processes.until(lambda: Attempt.objects.filter(pk=attempt.pk, read_at__isnull=False).exists())
    context.close()


def test_a_stranger_is_told_where_to_begin(chromium: Browser, processes: Processes, settings: LazySettings) -> None:
    web = processes.web()
    settings.PUBLIC_BASE_URL = web.url
    config = {"title": "Салон", "subject": "mailto:a@salon.example"}
    page = chromium.new_page(locale="ru-RU")
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(app_url(create_channel("web_push", "Браузер", config)))
    page.locator("[data-cascade-push-state=unknown]").wait_for(state="visible")
    assert not page.get_by_role("button").is_visible()
    assert problems == [], "nothing that our own content policy forbids"
    page.close()
