"""How far an account is connected: what an owner has proved step by step, and what is left.

    entered -> checked -> receipts -> tested -> heard -> chained

Every tick is a stored fact with its time (ChannelSetup, ChannelState, the chains themselves), so it is the same for every
colleague and after every restart. Which steps there are at all follows from the capabilities: a mailbox reports nothing,
so nothing is awaited from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.timezone import now

from cascade.vocabulary import RANK, AddressKind, FailureClass, Milestone
from channels.models import Channel, ChannelPull, ChannelSetup, ChannelState
from channels.providers.base import Capabilities, How, SentMessage, StatusReport
from channels.services import accounts, checks, incoming
from channels.services.accounts import AccountError
from channels.services.chains import steps_through

#: After so long without a word something is wrong, and the page says what to look at.
PATIENCE = timedelta(minutes=10)
#: A waiting page may ask the provider about its message so often.
ASK_EVERY = timedelta(seconds=4)
#: Stored instead of a milestone when the provider says that the test message failed.
FAILED = "failed"


class Key(StrEnum):
    """The steps, in their order."""

    ENTERED = "entered"
    CHECKED = "checked"
    RECEIPTS = "receipts"
    TESTED = "tested"
    HEARD = "heard"
    CHAINED = "chained"


class Mark(StrEnum):
    """How a step stands."""

    DONE = "done"
    OPEN = "open"
    WAITING = "waiting"  #: nothing to do but look at the page
    TROUBLE = "trouble"  #: something must be mended first
    NOTE = "note"  #: works without it, less well
    LATER = "later"  #: an earlier step comes first


@dataclass(frozen=True, slots=True)
class Step:
    """One step and, where it is done, since when."""

    key: Key
    mark: Mark
    at: datetime | None = None


def of(channel: Channel) -> ChannelSetup:
    """The facts of a channel; unsaved and empty for one nobody has tried yet."""
    return ChannelSetup.objects.filter(pk=channel.pk).first() or ChannelSetup(channel=channel)


def has_callbacks(capabilities: Capabilities) -> bool:
    """Whether this wire ever calls back."""
    return any(how in {How.CALLBACK, How.BOTH, How.BUTTON} for how in capabilities.reports.values())


# ---------------------------------------------------------------- the steps

_PROVED = {Key.CHECKED, Key.RECEIPTS, Key.TESTED}


def steps(channel: Channel) -> list[Step]:
    """All steps of this channel with their state. A few short queries, no network. Raises AccountError for a provider
    nobody wrote."""
    capabilities = accounts.capabilities_of(channel)
    facts = of(channel)
    state = ChannelState.objects.filter(pk=channel.pk).first() or ChannelState(channel=channel)
    found = [_entered(channel), _checked(facts)]
    pulled = incoming.is_pulled(channel, capabilities)
    if pulled:
        found.append(_pulled(channel))
    elif has_callbacks(capabilities) and capabilities.address is not AddressKind.DEVICE:
        # An app or a site of the owner's is no provider that could be told an address.
        found.append(_receipts(capabilities, facts, state))
    if capabilities.address is not AddressKind.PERSON:
        found.append(Step(Key.TESTED, Mark.DONE if facts.tested_at else Mark.OPEN, facts.tested_at))
        if has_callbacks(capabilities) or capabilities.poll_batch:
            reachable = pulled or incoming.has_public_address() or bool(capabilities.poll_batch)
            found.append(_heard(facts, state, reachable=reachable))
    if any(one.key is Key.HEARD and one.mark is Mark.DONE for one in found):
        # Receipts come, so what was never pressed here is proved all the same.
        found = [Step(one.key, Mark.NOTE) if one.mark is Mark.OPEN and one.key in _PROVED else one for one in found]
    chain = steps_through(channel).order_by("chain__created_at").values_list("chain__created_at", flat=True).first()
    found.append(Step(Key.CHAINED, Mark.DONE if chain else Mark.OPEN, chain))
    return found


def _entered(channel: Channel) -> Step:
    try:
        accounts.adapter_for(channel)
    except AccountError:
        return Step(Key.ENTERED, Mark.TROUBLE)
    return Step(Key.ENTERED, Mark.DONE, channel.created_at)


def _checked(facts: ChannelSetup) -> Step:
    if facts.checked_at is None:
        return Step(Key.CHECKED, Mark.OPEN)
    return Step(Key.CHECKED, Mark.DONE if facts.check_ok else Mark.TROUBLE, facts.checked_at)


def _receipts(capabilities: Capabilities, facts: ChannelSetup, state: ChannelState) -> Step:
    if state.last_receipt_at is not None and (capabilities.callback_set_by_hand or capabilities.callback_per_message):
        # Nobody but the receipt itself can tell that an address was pasted rightly.
        return Step(Key.RECEIPTS, Mark.DONE, state.last_receipt_at)
    if not incoming.has_public_address():
        return Step(Key.RECEIPTS, Mark.NOTE if capabilities.poll_batch else Mark.TROUBLE)
    if capabilities.callback_per_message:
        return Step(Key.RECEIPTS, Mark.DONE)
    if (
        capabilities.callback_set_by_hand
        or facts.receipts_at is None
        or facts.receipts_base != settings.PUBLIC_BASE_URL
    ):
        return Step(Key.RECEIPTS, Mark.OPEN)
    return Step(Key.RECEIPTS, Mark.DONE, facts.receipts_at)


def _pulled(channel: Channel) -> Step:
    """This server asks: proved by its last question, unless that one failed."""
    pull = ChannelPull.objects.filter(pk=channel.pk).first()
    if pull is not None and pull.trouble:
        return Step(Key.RECEIPTS, Mark.TROUBLE, pull.asked_at)
    if pull is None or pull.asked_at is None:
        # The tick asks a new channel within seconds, unless no worker runs.
        return Step(Key.RECEIPTS, Mark.WAITING if now() - channel.created_at < PATIENCE else Mark.OPEN)
    return Step(Key.RECEIPTS, Mark.DONE, pull.asked_at)


def _heard(facts: ChannelSetup, state: ChannelState, *, reachable: bool) -> Step:
    if facts.heard == FAILED:
        return Step(Key.HEARD, Mark.TROUBLE, facts.heard_at)
    if facts.heard and RANK[Milestone(facts.heard)] >= RANK[Milestone.DELIVERED]:
        return Step(Key.HEARD, Mark.DONE, facts.heard_at)
    if state.last_receipt_at is not None and (facts.tested_at is None or state.last_receipt_at >= facts.tested_at):
        return Step(Key.HEARD, Mark.DONE, state.last_receipt_at)
    if facts.tested_at is None or not reachable:
        return Step(Key.HEARD, Mark.LATER)
    return Step(Key.HEARD, Mark.WAITING if now() - facts.tested_at < PATIENCE else Mark.TROUBLE)


# ---------------------------------------------------------------- what is noted


def note_check(channel: Channel, verdict: checks.Verdict) -> None:
    """Keep what a self-test said, with its time."""
    _note(
        channel,
        checked_at=now(),
        check_ok=verdict.ok,
        check_message=verdict.message,
        check_params={name: str(value) for name, value in verdict.params.items()},
    )


def note_receipts(channel: Channel) -> None:
    """The provider has taken this installation's address."""
    _note(channel, receipts_at=now(), receipts_base=settings.PUBLIC_BASE_URL)


def note_test(channel: Channel, user: Any, typed: str, sent: SentMessage) -> None:
    """A test message has left: from now its receipt is awaited, and what was heard of an older one is forgotten."""
    _note(
        channel,
        tested_at=sent.accepted_at or now(),
        tested_by=user,
        test_typed=typed.strip(),
        test_ref=sent.ref,
        test_address=sent.address,
        test_ident=sent.provider_message_id,
        heard_at=None,
        heard="",
        heard_detail="",
        asked_at=None,
    )


def forget(channel: Channel) -> None:
    """Other credentials: nothing is proved any more. What people typed is kept for their next test."""
    ChannelSetup.objects.filter(pk=channel.pk).update(
        checked_at=None,
        check_ok=False,
        check_message="",
        check_params={},
        receipts_at=None,
        receipts_base="",
        tested_at=None,
        test_ref="",
        test_address="",
        test_ident="",
        heard_at=None,
        heard="",
        heard_detail="",
    )


def note_writer(channel_id: int, address: str) -> None:
    """Somebody wrote to an account whose owner has not tested it yet: most likely the owner, as the page asks for it."""
    ChannelSetup.objects.filter(pk=channel_id, tested_at=None).exclude(writer=address[:200]).update(
        writer=address[:200]
    )


def remembered_address(channel: Channel, user: Any) -> str:
    """What this person typed at their last test, here or at another channel with the same kind of address; else who wrote
    to this account last, where its addresses are its own; else ""."""
    kind = accounts.capabilities_of(channel).address
    facts = of(channel)
    if facts.test_typed and facts.tested_by_id == user.pk:
        return facts.test_typed
    if kind not in {AddressKind.PHONE, AddressKind.EMAIL}:
        return facts.writer
    mine = ChannelSetup.objects.filter(tested_by=user).exclude(test_typed="").select_related("channel")
    for other in mine.order_by("-pk")[:20]:
        if _address_kind(other.channel) is kind:
            return other.test_typed
    return str(getattr(user, "email", "")) if kind is AddressKind.EMAIL else ""


def hear(channel_id: int, reports: Mapping[int, StatusReport]) -> set[int]:
    """Find the owner's test message among reports that belong to no delivery; return the indexes that were about it.

    Milestones only rise, and a failure after a delivery changes nothing: receipts come in any order.
    """
    if not reports:
        return set()
    with transaction.atomic():
        facts = ChannelSetup.objects.select_for_update().filter(pk=channel_id).exclude(test_ref="").first()
        if facts is None:
            return set()
        about = {index: report for index, report in reports.items() if _is_about(report, facts)}
        before = facts.heard
        for report in about.values():
            _fold(facts, report)
        if facts.heard != before:
            facts.heard_at = now()
            facts.save(update_fields=["heard", "heard_detail", "heard_at"])
    return set(about)


def ask_about_test(channel: Channel) -> None:
    """Ask the provider about the test message, if one is awaited and the last question is old enough. No transaction is
    open during the question."""
    facts = of(channel)
    if facts.tested_at is None or now() - facts.tested_at >= PATIENCE:
        return
    old = Q(asked_at=None) | Q(asked_at__lte=now() - ASK_EVERY)
    if not ChannelSetup.objects.filter(old, pk=channel.pk).update(asked_at=now()):
        return
    sent = SentMessage(facts.test_ref, facts.test_address, facts.test_ident, facts.tested_at)
    hear(channel.pk, dict(enumerate(checks.ask_about(channel, sent))))


def _address_kind(channel: Channel) -> AddressKind | None:
    try:
        return accounts.capabilities_of(channel).address
    except AccountError:  # an adapter that is no longer there
        return None


def _note(channel: Channel, **fields: Any) -> None:
    ChannelSetup.objects.update_or_create(channel=channel, defaults=fields)


def _is_about(report: StatusReport, facts: ChannelSetup) -> bool:
    if report.ref:
        return report.ref == facts.test_ref
    same = bool(facts.test_ident) and report.provider_message_id == facts.test_ident
    return same and (not report.address or report.address.lstrip("+") == facts.test_address.lstrip("+"))


def _fold(facts: ChannelSetup, report: StatusReport) -> None:
    known = RANK[Milestone(facts.heard)] if facts.heard and facts.heard != FAILED else -1
    if report.milestone is not None and RANK[report.milestone] > known:
        facts.heard, facts.heard_detail = report.milestone.value, ""
    elif report.failure not in {None, FailureClass.OUTCOME_UNKNOWN} and known < RANK[Milestone.DELIVERED]:
        facts.heard, facts.heard_detail = FAILED, (report.detail or report.raw)[:300]
