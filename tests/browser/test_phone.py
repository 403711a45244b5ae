"""The pages by thumb and in the dark: a phone, its dark theme, no mouse, no keyboard shortcuts."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils.timezone import now
from playwright.sync_api import expect

from campaigns.models import Campaign
from channels.models import Chain, ChainStep, Channel
from channels.services.accounts import create_channel
from contacts.models import ConsentState, Contact, ContactList, ListMember
from deliveries.models import OperatorTask
from deliveries.services import advance, launch
from templates_app.models import MessageTemplate
from tests.browser.site import Site
from tests.deliveries.hands import answer, call_out

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.slow]


def test_a_campaign_is_made_by_thumb_in_the_dark(phone: Site) -> None:
    chain, template, people = a_shop()
    phone.log_in()
    assert is_dark(phone)
    phone.look()
    phone.page.locator("#header-inner .cursor-pointer").first.tap()  # the menu slides in
    link = phone.page.locator(
        "#nav-sidebar-apps a[href='/admin/channels/chain/'], nav a[href='/admin/channels/chain/']"
    ).first
    expect(link).to_be_visible()
    link.tap()
    phone.at("/channels/chain/")
    phone.open(f"/admin/channels/chain/{chain.pk}/change/")
    phone.page.locator(".form-group:has([name='steps-0-channel']) [data-move='1']").tap()
    phone.look()
    spare = create_channel("sms_ru", "Запасной", {"api_id": "key"}, price=Decimal("5.10"))
    phone.page.reload()
    phone.page.locator(".form-group:has([name='steps-0-channel']) [data-move='1']").tap()
    phone.page.locator(".form-group:has([name='steps-1-channel']) summary").tap()
    phone.page.locator("[name='steps-1-reserve']").select_option(str(spare.pk))
    phone.page.locator("[name='dialogue_days']").fill("30")
    phone.look()
    phone.page.locator("button[name='_save']").tap()
    phone.page.wait_for_url("**/channels/chain/")
    assert [step.channel.kind for step in chain.steps.all()] == ["sms", "whatsapp"]
    assert [step.reserve for step in chain.steps.all()] == [spare, None]
    phone.open(f"/admin/channels/chain/{chain.pk}/change/")
    expect(phone.page.locator("body")).to_contain_text("Запасной")
    phone.look()

    campaign = Campaign.objects.create(name="Скидка", chain=chain, template=template)
    campaign.lists.add(people)
    phone.open(f"/admin/campaigns/campaign/{campaign.pk}/preflight/")
    phone.look()
    phone.page.locator("button.is-primary[popovertarget='launch']").tap()
    expect(phone.page.locator("#launch")).to_contain_text("₽")
    phone.look()
    phone.page.locator("#launch form button.is-primary").tap()
    phone.at("/page/")
    assert Campaign.objects.get().launched_at is not None


def test_a_call_is_reported_by_thumb(phone: Site) -> None:
    """The operator's whole work: what is due, the number to tap, what came of it."""
    chain, template, people = a_shop()
    operator = create_channel("operator", "Оператор", {"due_minutes": 60})
    chain.steps.all().delete()
    ChainStep.objects.create(chain=chain, order=0, channel=operator, expect="goal", wait=timedelta(hours=5))
    campaign = Campaign.objects.create(
        name="Записи на завтра", chain=chain, template=template, status="launching", launched_at=now()
    )
    campaign.lists.add(people)
    launch.launch_due()
    advance.advance_due()
    answer(call_out(operator))
    first, *_ = OperatorTask.objects.order_by("due_at", "pk")
    phone.log_in()
    phone.look("desk-home")
    phone.page.get_by_role("link", name="3").first.tap()
    phone.at("/operatortask/")
    phone.look("desk")
    phone.open(f"/admin/deliveries/operatortask/{first.pk}/change/")
    phone.look("desk-call")
    assert phone.page.locator(f"a[href='tel:{first.address}']").is_visible()
    phone.page.locator("input[name='note']").fill("придёт к десяти")
    phone.page.on("dialog", lambda dialog: dialog.dismiss())
    phone.page.locator("button[value='refused']").tap()
    assert OperatorTask.objects.get(pk=first.pk).state == "open", "what cannot be taken back asks once more"
    phone.page.locator("button[value='confirmed']").tap()
    phone.at("/operatortask/")
    expect(phone.page.locator("body")).to_contain_text("Записано")
    assert OperatorTask.objects.get(pk=first.pk).note == "придёт к десяти"
    phone.open("/admin/deliveries/operatortask/?desk=closed")
    phone.look()


PAGES = [
    "/admin/",
    "/admin/channels/channel/",
    "/admin/channels/channel/add/",
    "/admin/channels/channel/add/?provider=telegram_bot",
    "/admin/channels/channel/add/?provider=smtp",
    "/admin/templates_app/messagetemplate/",
    "/admin/campaigns/campaign/",
    "/admin/campaigns/campaign/add/",
    "/admin/campaigns/quiethours/",
    "/admin/campaigns/frequencycap/",
    "/admin/contacts/contact/",
    "/admin/contacts/contactlist/",
    "/admin/contacts/suppression/",
    "/admin/contacts/importjob/add/",
    "/admin/deliveries/delivery/",
    "/admin/deliveries/inboundmessage/",
]


def test_no_page_is_cut_or_broken_in_the_dark(phone: Site) -> None:
    a_shop()
    phone.log_in()
    for path in PAGES:
        phone.open(path)
        phone.look()
        assert is_dark(phone), path


def is_dark(phone: Site) -> bool:
    """The page's ground is darker than its letters."""
    colours = phone.page.evaluate(
        """() => {
          const lightness = (colour) => {
            const dot = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            dot.fillStyle = colour;
            dot.fillRect(0, 0, 1, 1);
            const [r, g, b] = dot.getImageData(0, 0, 1, 1).data;
            return r + g + b;
          };
          const body = getComputedStyle(document.body);
          return [lightness(body.backgroundColor), lightness(body.color)];
        }"""
    )
    return bool(colours[0] < colours[1])


def a_shop() -> tuple[Chain, MessageTemplate, ContactList]:
    """Two channels, a chain, a text, three people with consent."""
    whatsapp = create_channel(
        "green_api_whatsapp", "WhatsApp", {"id_instance": "1101", "api_token": "token"}, price=Decimal("2.60")
    )
    sms = create_channel("smsc", "SMS", {"apikey": "key"}, price=Decimal("4.80"))
    chain = Chain.objects.create(name="WhatsApp → SMS")
    for order, channel in enumerate((whatsapp, sms)):
        ChainStep.objects.create(chain=chain, order=order, channel=channel, wait=timedelta(minutes=15))
    template = MessageTemplate.objects.create(name="Скидка", text="{name|Здравствуйте}, скидка 15%. Отписка: СТОП")
    people = ContactList.objects.create(name="Покупатели")
    made = Contact.objects.bulk_create(
        Contact(phone=f"+7916000000{number}", name=name, marketing_consent=ConsentState.GRANTED)
        for number, name in enumerate(("Анна", "Мария", "Елена"))
    )
    ListMember.objects.bulk_create(ListMember(list=people, contact=one) for one in made)
    assert Channel.objects.count() == 2
    return chain, template, people
