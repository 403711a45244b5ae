"""Small providers with known capabilities, so that these tests do not lean on any real adapter's limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone
from channels.admin import channel, choose, form, words
from channels.models import Channel
from channels.providers import registry
from channels.providers.base import (
    Accepted,
    AccountReport,
    Answer,
    Call,
    Capabilities,
    Failed,
    How,
    HttpCall,
    OutgoingMessage,
    Provider,
    SendResult,
    TtlRange,
    option,
    secret,
)
from channels.services import accounts


@dataclass(frozen=True)
class FakeConfig:
    token: str = secret("Token", "From the cabinet.")
    sender: str = option("Sender", default="")
    port: int = option("Port", default=25)
    tls: bool = option("Encrypt", default=True)


class FakeBase(Provider):
    """Speaks a trivial JSON: 200 is accepted, 402 no money, 403 a bad token."""

    base_url = "https://api.invalid"
    Config = FakeConfig

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            HttpCall("POST", f"{self.base}/send", json={"to": m.address, "text": m.text}, refs=(m.ref,))
            for m in messages
        ]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        if answer.status == 200:
            return [Accepted(ref, f"id-{ref}") for ref in call.refs]
        failure = {402: FailureClass.BALANCE, 403: FailureClass.AUTH}.get(answer.status, FailureClass.OUTCOME_UNKNOWN)
        return [Failed(ref, failure, detail=f"code {answer.status}") for ref in call.refs]

    def build_self_test(self) -> list[Call]:
        return [HttpCall("GET", f"{self.base}/me")]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.status == 200:
            return AccountReport(True, "The account works.")
        return AccountReport(False, "The provider refuses the token.", failure=FailureClass.AUTH)

    def build_callback_setup(self, url: str) -> Call | None:
        if self.capabilities.callback_set_by_hand:
            return None
        return HttpCall("POST", f"{self.base}/webhook", json={"url": url})

    def read_callback_setup(self, call: Call, answer: Answer) -> AccountReport:
        return AccountReport(answer.status == 200, "Receipts come here now.")

    def build_balance(self) -> Call | None:
        return HttpCall("GET", f"{self.base}/balance") if self.capabilities.balance else None

    def read_balance(self, call: Call, answer: Answer) -> AccountReport:
        from decimal import Decimal

        if answer.status == 200:
            return AccountReport(True, "The balance is known.", balance=Decimal(answer.body.decode()))
        return AccountReport(False, "The provider refuses the token.", failure=FailureClass.AUTH)


class FakeSms(FakeBase):
    slug = "fake_sms"
    kind = ChannelKind.SMS
    title = "Fake SMS"
    capabilities = Capabilities(
        address=AddressKind.PHONE,
        reports={Milestone.ACCEPTED: How.ANSWER, Milestone.DELIVERED: How.BOTH, Milestone.CLICKED: How.LINK},
        ttl=TtlRange(timedelta(hours=1), timedelta(hours=24), timedelta(hours=1)),
        poll_batch=100,
        balance=True,
        max_text=800,
        counts_sms_parts=True,
        lookup_by_ref=True,
        charged_on=ChargedOn.ACCEPTED,
    )


class FakeTelegram(FakeBase):
    slug = "fake_telegram"
    kind = ChannelKind.TELEGRAM
    title = "Fake Telegram"
    capabilities = Capabilities(
        address=AddressKind.CHAT_ID,
        reports={
            Milestone.ACCEPTED: How.ANSWER,
            Milestone.SENT: How.ANSWER,
            Milestone.CLICKED: How.LINK,
            Milestone.REPLIED: How.BUTTON,
        },
        poll_batch=0,
        callback_set_by_hand=False,
        buttons=1,
        default_rate=30,
    )


class FakeViber(FakeBase):
    slug = "fake_viber"
    kind = ChannelKind.VIBER
    title = "Fake Viber"
    capabilities = Capabilities(
        address=AddressKind.PHONE,
        reports={Milestone.ACCEPTED: How.ANSWER, Milestone.DELIVERED: How.BOTH, Milestone.READ: How.BOTH},
        ttl=TtlRange(timedelta(minutes=1), timedelta(hours=24)),
        recall=False,
        check=True,
        charged_on=ChargedOn.DELIVERED,
    )


class FakeReadOnly(FakeBase):
    """Reports only that a message was read: `delivered` follows from it."""

    slug = "fake_email"
    kind = ChannelKind.EMAIL
    title = "Fake e-mail"
    capabilities = Capabilities(
        address=AddressKind.EMAIL,
        reports={Milestone.READ: How.CALLBACK, Milestone.CLICKED: How.LINK},
        has_subject=True,
        recall=True,
    )


FAKES = (FakeSms, FakeTelegram, FakeViber, FakeReadOnly)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fakes into the registry, beside the real ones."""
    real = registry.provider_class
    by_slug = {one.slug: one for one in FAKES}

    def lookup(slug: str) -> type[Provider]:
        return by_slug.get(slug) or real(slug)

    monkeypatch.setattr(accounts, "provider_class", lookup)


@pytest.fixture
def fake_cards(fakes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages ask the registry by themselves."""
    for module in (channel, choose, form, words):
        monkeypatch.setattr(module, "provider_class", accounts.provider_class)
    monkeypatch.setattr(choose, "slugs", lambda: [one.slug for one in FAKES])


def make_channel(slug: str, name: str = "", **fields: Any) -> Channel:
    return accounts.create_channel(slug, name or slug, {"token": "canary-token-123"}, **fields)
