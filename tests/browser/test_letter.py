"""A person follows the link of a letter that has just come: the page between is not noticed, and counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from campaigns.models import Campaign
from channels.models import Chain, ChainStep
from channels.services.accounts import create_channel
from contacts.models import ConsentState, Contact, ContactList, ListMember
from deliveries.models import LinkVisit
from deliveries.services import advance, launch
from templates_app.models import MessageTemplate
from tests.browser.site import Site
from tests.deliveries.hands import answer, call_out

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.slow]


def test_an_early_click_is_led_on_at_once_and_confirmed(phone: Site) -> None:
    mail = create_channel("smtp", "Почта", {"host": "smtp.shop.example", "sender": "hello@shop.example"})
    chain = Chain.objects.create(name="Почта")
    ChainStep.objects.create(chain=chain, order=0, channel=mail, expect="read", wait=timedelta(hours=5))
    target = f"{phone.url}/healthz"
    template = MessageTemplate.objects.create(name="Привет", text="Вот: {link}", link=target)
    people = ContactList.objects.create(name="Все")
    ann = Contact.objects.create(email="ann@people.example", marketing_consent=ConsentState.GRANTED)
    ListMember.objects.create(list=people, contact=ann)
    fields = {"name": "Скидка", "chain": chain, "template": template, "status": "launching", "launched_at": now()}
    Campaign.objects.create(**fields).lists.add(people)
    launch.launch_due()
    advance.advance_due()
    (sent,) = call_out(mail)
    answer([sent])
    # The browser of these tests calls itself headless, which we take for a machine's word.
    phone.page.set_extra_http_headers(
        {"User-Agent": "Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile Safari/537.36"}
    )
    phone.page.goto(f"{phone.url}/l/{sent.message.ref}", wait_until="commit")
    phone.page.wait_for_url(target)
    seen = sorted(LinkVisit.objects.values_list("what", flat=True))
    assert seen == ["confirmed", "link"]
