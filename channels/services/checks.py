"""Questions to a provider that an owner or a tick asks: does it work, how much money is left, send one to me.

All go through the outgoing seam, with no transaction open: a provider that takes fifteen seconds must not hold a
lock for fifteen seconds. Nothing here raises for what a provider or the network does; the answer is a Verdict in
words with what to do next.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils.formats import number_format
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from cascade.vocabulary import ACCOUNT_TROUBLE, AddressKind, FailureClass, Purpose
from channels.models import Channel, ChannelPull, ChannelState
from channels.providers.base import (
    Accepted,
    AccountReport,
    Answer,
    Button,
    Call,
    NoAnswer,
    OutgoingMessage,
    Provider,
    SentMessage,
    StatusReport,
)
from channels.services import accounts, health, incoming, pace, tokens
from channels.services.accounts import AccountError
from channels.transport import Seam, redact
from contacts import phones, reasons
from contacts.models import ContactAddress
from templates_app.html import to_html

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out: English msgid and parameters, as everywhere; `detail` is the provider's own words."""

    ok: bool
    message: str
    params: dict[str, Any] = field(default_factory=dict)
    detail: str = ""
    failure: FailureClass | None = None
    #: A test message that was accepted: what is needed to ask about it.
    sent: SentMessage | None = None
    handle: str = ""

    def text(self) -> str:
        """The sentence in the language of the moment."""
        return _(self.message) % self.params


_NO_CONNECTION = gettext_noop(
    "The provider could not be reached (%(detail)s). Check the address of the API, the proxy, and whether this server "
    "may go out to the internet."
)
_UNTRUSTED = gettext_noop(
    "This server does not trust the certificate of the provider's host. A provider with a certificate authority of its "
    "own (MAX: that of the Ministry of Digital Development) needs its file in OUTGOING_CA_BUNDLES; see the provider's "
    "page. With any other, something on the way pretends to be the provider."
)
_NO_ANSWER = gettext_noop("The provider did not answer in time (%(detail)s). Try again in a minute.")
_NO_TOKEN = gettext_noop(
    "The provider does not let this account in (%(detail)s). Compare the credentials with those in its cabinet."
)
_MAILBOX = gettext_noop("The mailbox opens: what comes into it from now on is read every half a minute.")
_NO_BALANCE = gettext_noop("This provider has no question about the balance.")
_BY_HAND = gettext_noop("This provider takes the address only by hand: paste it in its cabinet.")
_NEEDS_HTTPS = gettext_noop(
    "Providers deliver receipts only to a public https address. Set PUBLIC_BASE_URL to one and restart."
)
_NOTHING_TO_ASK = gettext_noop("This provider has nothing to check without sending a message.")
_SENT = gettext_noop("The provider took the message. If it does not arrive, look at its cabinet: number %(id)s.")
_UNKNOWN = gettext_noop(
    "Nobody knows whether the message left: the connection broke (%(detail)s). Wait before you try again, "
    "or you may get it twice."
)
_REFUSED = gettext_noop("The provider refused the message: %(detail)s")
_REFUSED_SILENTLY = gettext_noop("The provider refused the message and did not say why.")
_NOT_THERE = gettext_noop("Nobody can be found here by this phone. Nothing was sent.")
_NOT_FOUND_OUT = gettext_noop(
    "The provider did not say whose phone this is (%(detail)s). Nothing was sent. Try again in a few minutes."
)
_NO_SUCH_NUMBERS = gettext_noop("This channel does not take numbers of this country. Nothing was sent.")
_NO_DEVICE = gettext_noop(
    "Nobody with this phone has registered a device here yet. Open the link to subscribe (or the app) on your device first."
)
_BUSY = gettext_noop("This channel is sending at its full rate now. Try again in %(seconds)s s.")
_BAD_PHONE = gettext_noop("This phone cannot be used: %(reason)s")
_BAD_EMAIL = gettext_noop("This is not an e-mail address.")
_NO_ADDRESS = gettext_noop("Enter the address to send to.")
_NO_TEST = gettext_noop(
    "There is no wire to test: an operator's task appears by itself when a chain reaches this step."
)
_DISABLED = gettext_noop("The channel is switched off. Switch it on first.")


def self_test(channel: Channel) -> Verdict:
    """Ask the provider whether the credentials work, without sending anything to anybody.

    A success takes a channel out of account trouble at once, except an empty balance: only a send proves that. An access
    token that is refused is thrown away, and the question asked once more with a new one. One that
    had refused everybody is vouched for: whoever asks has looked at it (a tick never does, recover.probe_channels).
    """
    account = _account(channel)
    if isinstance(account, Verdict):
        return account
    verdict = _self_test(*account)
    if verdict.failure is FailureClass.AUTH and account[0].token:
        if not tokens.drop(channel.pk, account[0], account[0].token):
            return verdict
        account = _account(channel)
        verdict = account if isinstance(account, Verdict) else _self_test(*account)
    if not verdict.ok:
        return verdict
    if verdict.handle:
        ChannelState.objects.filter(channel=channel).exclude(handle=verdict.handle).update(handle=verdict.handle[:200])
    state = ChannelState.objects.filter(channel=channel, breaker=ChannelState.Breaker.OPEN).first()
    if state is not None and state.trouble == health.EVERYBODY_REFUSED:
        health.vouch(channel.pk)
    elif state is not None and state.trouble != FailureClass.BALANCE:
        health.note_recovered(channel.pk)
    return verdict


def _self_test(adapter: Provider, proxy: str) -> Verdict:
    verdict = Verdict(True, _NOTHING_TO_ASK)
    calls = adapter.build_self_test()
    for call, answer in zip(calls, ask(calls, proxy), strict=True):
        verdict = verdict_of(adapter.read_self_test(call, answer), answer, adapter)
        if not verdict.ok:
            break
    return verdict


def connect_receipts(channel: Channel) -> Verdict:
    """Tell the provider where receipts and replies go, where it can be told by API: to this server, or nowhere, because
    this server asks for them itself (channels.services.incoming)."""
    url = accounts.callback_url(channel)
    account = _account(channel)
    if isinstance(account, Verdict):
        return account
    adapter, proxy = account
    pulled = incoming.is_pulled(channel, adapter.capabilities)
    if not pulled and not url.startswith("https://"):
        return Verdict(False, _NEEDS_HTTPS)
    call = adapter.build_pull_setup(url) if pulled else adapter.build_callback_setup(url)
    if call is None:
        return Verdict(False, _BY_HAND)
    (answer,) = ask([call], proxy)
    report = adapter.read_pull_setup(call, answer) if pulled else adapter.read_callback_setup(call, answer)
    verdict = verdict_of(report, answer, adapter)
    if pulled and verdict.ok:
        ChannelPull.objects.filter(channel=channel).update(next_at=now(), errors_in_row=0, trouble="")
    return verdict


def check_mailbox(channel: Channel) -> Verdict | None:
    """Whether the mailbox that is read for this account opens; None where it has none. Reads no letter, and is no part of
    the self-test: an account whose mailbox is locked sends as before."""
    account = _account(channel)
    if isinstance(account, Verdict) or not account[0].capabilities.pull_always:
        return None
    adapter, proxy = account
    call = adapter.build_pull("")
    if call is None:
        return None
    (answer,) = ask([call], proxy)
    trouble = adapter.read_pull(call, answer).trouble
    return Verdict(True, _MAILBOX) if trouble is None else Verdict(False, trouble.message, dict(trouble.params))


def ask_balance(channel: Channel) -> Verdict:
    """Ask for the balance and keep it with its time; a failure leaves the last known one."""
    account = _account(channel)
    if isinstance(account, Verdict):
        return account
    adapter, proxy = account
    call = adapter.build_balance()
    if call is None:
        return Verdict(False, _NO_BALANCE)
    (answer,) = ask([call], proxy)
    report = adapter.read_balance(call, answer)
    if report.balance is not None:
        ChannelState.objects.update_or_create(
            channel=channel, defaults={"balance": report.balance, "balance_at": now()}
        )
    return verdict_of(report, answer, adapter)


def ask_balances() -> int:
    """Balance of every enabled channel whose provider has the question; return how many answered."""
    answered = 0
    for channel in Channel.objects.filter(enabled=True).exclude(config_encrypted=""):
        try:
            if not accounts.adapter_for(channel).capabilities.balance:
                continue
        except AccountError as error:
            logger.warning("channel %s: %s", channel.pk, error)
            continue
        verdict = ask_balance(channel)
        answered += verdict.ok
        if not verdict.ok:
            logger.warning("channel %s: balance unknown: %s", channel.pk, verdict.message)
    return answered


def send_test(channel: Channel, address: str, text: str, *, subject: str = "", button: str = "") -> Verdict:
    """Send one real message now, at the channel's own rate. It costs what a message costs.

    No attempt is written: the receipt of a test finds no delivery. What is needed to recognise it is in the verdict, see
    channels.services.setup.
    """
    if not channel.enabled:
        return Verdict(False, _DISABLED)
    account = _account(channel)
    if isinstance(account, Verdict):
        return account
    adapter, proxy = account
    if adapter.capabilities.address is AddressKind.PERSON:
        return Verdict(False, _NO_TEST)
    checked = check_address(adapter.capabilities.address, address)
    if isinstance(checked, Verdict):
        return checked
    if adapter.capabilities.address is AddressKind.DEVICE:
        checked = _device_of(channel, checked)
        if isinstance(checked, Verdict):
            return checked
    if adapter.capabilities.resolves:
        found = _find_address(adapter, checked, proxy)
        if isinstance(found, Verdict):
            return found
        checked = found
    slots = pace.reserve_slots(channel.pk, 1)
    if not slots.count:
        return Verdict(False, _BUSY, {"seconds": round(slots.delay) or 1})
    capabilities = adapter.capabilities
    message = OutgoingMessage(
        ref=secrets.token_urlsafe(16),
        address=checked,
        text=text,
        purpose=Purpose.SERVICE,
        subject=subject if capabilities.has_subject else "",
        html=to_html(text) if checked and capabilities.address is AddressKind.EMAIL else "",
        buttons=(Button(button, payload="test"),) if button and capabilities.buttons else (),
        code="1234" if capabilities.codes_only else "",
        # Long enough for a phone that is just being taken out of a pocket.
        ttl=capabilities.ttl.snap(timedelta(minutes=10)) if capabilities.ttl else None,
        at=now(),
    )
    (call,) = adapter.build_send([message])
    (answer,) = ask([call], proxy)
    if (follow_up := adapter.build_follow_up(call, answer)) is not None:
        call, (answer,) = follow_up, ask([follow_up], proxy)
    (result,) = adapter.read_send(call, answer)
    if isinstance(result, Accepted):
        health.note_results(channel.pk, ok=1, taken=1)
        sent = SentMessage(message.ref, checked, result.provider_message_id, now())
        return Verdict(True, _SENT, {"id": result.provider_message_id or "-"}, sent=sent)
    detail = _clean(result.detail or answer.detail, adapter)
    health.note_results(channel.pk, ok=0, trouble=result.failure, detail=detail)
    if result.failure is FailureClass.RATE_LIMITED and result.retry_after:
        pace.slow_down(channel.pk, result.retry_after)
    if result.failure is FailureClass.OUTCOME_UNKNOWN:
        return Verdict(False, _UNKNOWN, {"detail": detail}, detail, result.failure)
    if result.failure in ACCOUNT_TROUBLE:
        return Verdict(False, health.ADVICE[result.failure.value].what, {}, detail, result.failure)
    if not detail:
        return Verdict(False, _REFUSED_SILENTLY, {}, "", result.failure)
    return Verdict(False, _REFUSED, {"detail": detail}, detail, result.failure)


def ask_about(channel: Channel, sent: SentMessage) -> list[StatusReport]:
    """What the provider says about one message now; nothing where it cannot be asked or does not answer."""
    account = _account(channel)
    if isinstance(account, Verdict) or not account[0].capabilities.poll_batch:
        return []
    adapter, proxy = account
    calls = adapter.build_poll([sent])
    return [
        one for call, answer in zip(calls, ask(calls, proxy), strict=True) for one in adapter.read_poll(call, answer)
    ]


def _device_of(channel: Channel, address: str) -> str | Verdict:
    """The newest device of the person with this phone; what is no phone is a device's address itself."""
    phone = phones.normalise(address)
    if isinstance(phone, phones.Rejected):
        return address
    held = ContactAddress.objects.filter(channel_id=channel.pk, contact__phone=phone.e164).order_by("-seen_at")
    return held.values_list("value", flat=True).first() or Verdict(False, _NO_DEVICE)


def _find_address(adapter: Provider, phone: str, proxy: str) -> str | Verdict:
    """The channel's own id for a phone, or why there is none."""
    calls = adapter.build_check([phone])
    for call, answer in zip(calls, ask(calls, proxy), strict=True):
        for change in adapter.read_check(call, answer):
            return change.resolved or Verdict(False, _NOT_THERE, {}, "", FailureClass.RECIPIENT_PERMANENT)
        failed = adapter.read_unresolved(call, answer)
        detail = _clean(failed.detail, adapter)
        if failed.failure in ACCOUNT_TROUBLE:
            return Verdict(False, health.ADVICE[failed.failure.value].what, {}, detail, failed.failure)
        return Verdict(False, _NOT_FOUND_OUT, {"detail": detail or "-"}, detail, failed.failure)
    return Verdict(False, _NO_SUCH_NUMBERS, {}, "", FailureClass.RECIPIENT_PERMANENT)


def check_address(kind: AddressKind, address: str) -> str | Verdict:
    """The address as the adapter wants it, or why not."""
    address = address.strip()
    if not address:
        return Verdict(False, _NO_ADDRESS)
    if kind is AddressKind.PHONE:
        phone = phones.normalise(address)
        if isinstance(phone, phones.Rejected):
            return Verdict(False, _BAD_PHONE, {"reason": reasons.text(phone.reason)})
        return phone.e164
    if kind is AddressKind.EMAIL:
        name, at, host = address.rpartition("@")
        if not name or not at or "." not in host or any(sign.isspace() for sign in address):
            return Verdict(False, _BAD_EMAIL)
        return address.lower()
    return address


def _account(channel: Channel) -> tuple[Provider, str] | Verdict:
    """The channel's adapter, with its access token where it needs one, and its proxy; or why there is none."""
    try:
        adapter, proxy = accounts.adapter_for(channel), accounts.proxy_for(channel)
    except AccountError as error:
        return Verdict(False, error.message, dict(error.params))
    failed = tokens.ready_now(channel.pk, adapter, lambda call: ask([call], proxy)[0])
    if failed is None:
        return adapter, proxy
    detail = _clean(failed.detail, adapter)
    message = _NO_TOKEN if failed.failure in ACCOUNT_TROUBLE else _NO_ANSWER
    return Verdict(False, message, {"detail": detail or "-"}, detail, failed.failure)


def ask(calls: Sequence[Call], proxy: str) -> list[Answer]:
    """Run calls one after another in an event loop of their own; a page or a tick asks rarely. Never raises for what the
    network does."""

    async def run() -> list[Answer]:
        async with Seam(
            allowed_private=settings.OUTGOING_ALLOWED_PRIVATE, ca_bundles=settings.OUTGOING_CA_BUNDLES
        ) as seam:
            return [await seam.call(call, proxy=proxy) for call in calls]

    return asyncio.run(run())


def verdict_of(report: AccountReport, answer: Answer, adapter: Provider) -> Verdict:
    """The adapter's report; where there was no answer at all, our own words say what to check."""
    detail = _clean(answer.detail, adapter)
    if not report.ok and answer.no_answer is not None:
        if answer.untrusted:
            return Verdict(False, _UNTRUSTED, {}, detail, FailureClass.AUTH)
        message = _NO_CONNECTION if answer.no_answer is NoAnswer.NOT_SENT else _NO_ANSWER
        return Verdict(False, message, {"detail": detail or "-"}, detail, report.failure)
    params = {name: _clean(str(value), adapter) for name, value in report.params.items()}
    if report.balance is not None and "balance" in params:
        params["balance"] = number_format(report.balance, force_grouping=True)
    return Verdict(report.ok, report.message, params, detail, report.failure, handle=report.handle)


def _clean(text: str, adapter: Provider) -> str:
    """Words of a provider without our secrets, cut to a line."""
    return redact(text, _secret_values(adapter))[:300]


def _secret_values(adapter: Provider) -> Iterable[str]:
    return [str(getattr(adapter.config, name)) for name in accounts.secret_fields(type(adapter.config))]
