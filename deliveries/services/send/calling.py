"""TX-calling: every gate once more (R11), render, and write the attempt before the call (I4).

From the commit of this transaction on, the outcome of each attempt may be unknown. So it takes only as many
rows as will leave at once: what a killed worker leaves in doubt is what it had in flight, never more.

Locks, always in this order: deliveries, contacts, campaigns, spend. Whoever writes a stop fact takes the same
locks, so a stop that has been answered is seen by every attempt that begins after it (I3, I14).
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from campaigns.models import CampaignSpend, CampaignStatus
from campaigns.selectors import caps as frequency_caps
from cascade.actions import Skip
from cascade.events import Left, Suppressed
from cascade.machine import apply, give_up_at, settle
from cascade.vocabulary import ChannelKind, Purpose, Reason
from cascade.windows import next_open_moment
from channels.providers.base import Button, Capabilities, OutgoingMessage, SentMessage
from channels.services import invites
from contacts.models import ConsentState, Reachability, SuppressionScope
from contacts.selectors import as_variables, own_addresses
from contacts.services.addresses import found_addresses
from deliveries.models import MarketingTouch
from deliveries.services.codes import codes_to_send
from deliveries.services.decisions import (
    load_attempts,
    load_pauses,
    load_surroundings,
    verdict_of,
    write,
)
from deliveries.services.send.claim import LATEST_START, LEASE, Claim
from deliveries.snapshots import (
    DeliveryFacts,
    FrozenPlan,
    StepTerms,
    Surroundings,
    Walk,
    build_state,
    frozen_plan,
)
from templates_app.rendering import EmptyVariable, overlay
from templates_app.segments import count as count_segments


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An attempt that is written down and must now be called, once."""

    attempt_id: int
    row: DeliveryFacts
    try_no: int
    terms: StepTerms
    price: Decimal
    message: OutgoingMessage
    #: Seconds from the claim to its turn on the channel's pace.
    wait: float
    #: IANA zone of the recipient: the clock of the step runs in it.
    zone: str
    #: An earlier step's message that was never delivered: taken back before this one leaves (R7).
    recall: tuple[int, SentMessage] | None = None
    #: Ask first whether the person is registered (no cached answer), or which id of the channel's own is theirs.
    check: bool = False
    #: The phone the message's address was found for on the way; "" where it was known or is the phone itself.
    found_for: str = ""


@dataclass(slots=True)
class Calling:
    """What TX-calling decided about a chunk of claims."""

    outgoing: list[Outgoing] = field(default_factory=list)
    #: Campaigns whose budget did not suffice for the next message: to be paused after the commit.
    over_budget: set[int] = field(default_factory=set)


class _Card(NamedTuple):
    """A contact as _CARDS reads it: what the gates ask, then what a text may mention."""

    id: int
    marketing_consent: str
    consent_id: int | None
    suppressed: int
    timezone: str
    branch_timezone: str | None
    name: str
    full_name: str
    phone: str | None
    email: str | None
    birthday: date | None
    branch: str | None
    attributes: Any
    paused: bool  #: an answer of theirs has to be read before more marketing


class _Row(NamedTuple):
    """A delivery that is ours, as _LOCK reads it."""

    facts: DeliveryFacts
    #: Values of the campaign's file or of the event.
    variables: dict[str, Any]
    #: Tries of its step so far.
    tries: int


@dataclass(slots=True)
class _Desk:
    """Everything one chunk is judged with, read once under the locks."""

    now: datetime
    plans: dict[Walk, FrozenPlan]
    cards: dict[int, _Card]
    statuses: dict[int, str]
    own_addresses: dict[int, str]
    #: (contact, phone) -> the channel's own id for it, where it sends by such (Capabilities.resolves).
    found_addresses: dict[tuple[int, str], str]
    #: (delivery, address) -> ref of the first try of its step there, where the provider knows a repeat by it.
    first_refs: dict[tuple[int, str], str]
    #: delivery -> digits of its one-time code
    codes: dict[int, str]
    #: delivery -> where its newest try went, if nobody knows whether it left: to another address of the same person the
    #: repeat would be a second copy (R8).
    in_doubt: dict[int, str]
    touches: dict[int, list[datetime]]
    touched: set[int]
    caps: list[tuple[int, timedelta]]
    spends: dict[int, tuple[Decimal, Decimal]]  #: campaign -> (still free, taken by this chunk)
    #: Person -> channel kind -> their own link into a dialogue; only where a text of this chunk shows one.
    invited: dict[int, dict[str, str]] = field(default_factory=dict)

    def zone_of(self, row: DeliveryFacts, frozen: FrozenPlan) -> str:
        """The recipient's zone: the card's, else the branch's, else the project's (R12)."""
        card = self.cards.get(row.contact_id) if row.contact_id is not None else None
        return (card and (card.timezone or card.branch_timezone)) or frozen.zone


#: A large campaign begins to send while its last recipients are still being written down.
_MAY_SEND = frozenset({CampaignStatus.LAUNCHING.value, CampaignStatus.RUNNING.value})

#: By id and nothing else, tries by an index probe per row: other conditions (or a GROUP BY) are planned as a walk
#: through all leases (or all attempts) while a campaign outruns the statistics.
_LOCK = f"""
SELECT {", ".join("d." + column for column in DeliveryFacts._fields)}, d.variables,
    coalesce((SELECT max(a.try_no) FROM deliveries_attempt a WHERE a.delivery_id = d.id AND a.step = d.step), 0),
    d.state = 'leased' AND d.lease_until > now(), now()
FROM deliveries_delivery d WHERE d.id = ANY(%s::bigint[]) ORDER BY d.id FOR UPDATE OF d
"""  # noqa: S608 - constant columns
#: The lock makes two campaigns count one after the other for one person (I8) and holds off stop writers (I3).
_CARDS = """
SELECT c.id, c.marketing_consent, c.consent_id, c.suppressed, c.timezone, b.timezone,
    c.name, c.full_name, c.phone, c.email, c.birthday, b.name, c.attributes,
    EXISTS (SELECT 1 FROM deliveries_personpause p WHERE p.contact_id = c.id AND p.decided_at IS NULL AND p.ends_at > now())
FROM contacts_contact c LEFT JOIN contacts_branch b ON b.id = c.branch_id
WHERE c.id = ANY(%s::bigint[]) ORDER BY c.id FOR NO KEY UPDATE OF c
"""
_CAMPAIGNS = "SELECT id, status, budget FROM campaigns_campaign WHERE id = ANY(%s::bigint[]) ORDER BY id FOR SHARE"
_INSERT = """
INSERT INTO deliveries_attempt (delivery_id, step, try_no, channel_id, address, state, client_ref,
    provider_message_id, called_at, failure, reason, detail, polls, parts, price, charged_on, consent_id)
SELECT v.delivery_id, v.step, v.try_no, v.channel_id, v.address, 'calling', v.client_ref,
    '', now(), '', '', '', 0, v.parts, v.price, v.charged_on, v.consent_id
FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::bigint[], %s::text[], %s::text[], %s::int[], %s::numeric[],
            %s::text[], %s::bigint[])
    AS v(delivery_id, step, try_no, channel_id, address, client_ref, parts, price, charged_on, consent_id)
RETURNING id, delivery_id
"""


def call(
    channel_id: int, capabilities: Capabilities, claims: Sequence[Claim], result: Calling, *, ask_first: bool
) -> None:
    """Write the attempts of these claims, or send the rows back with a reason.

    `ask_first`: this channel wants the registration question before a message where nothing is cached.
    Side effects: attempts, refusals and their timeline, frequency slots, budget reservations, in one
    transaction. Fills `result`. Raises what the database raises; then nothing may be called unless
    recover_lost_commit() finds that only the answer to the commit was lost.
    """
    by_id = {claim.delivery_id: claim for claim in claims}
    with transaction.atomic():
        rows, now = _lock(by_id)
        if not rows or now is None:
            return
        own_ids = capabilities.resolves or capabilities.learns_id
        desk = _open_desk([row.facts for row in rows], channel_id, now, resolves=own_ids)
        if capabilities.idempotent_send:
            _recall_tries(desk, [row.facts for row in rows if row.tries], channel_id)
        if any(plan.codes for plan in desk.plans.values()):
            desk.codes = codes_to_send([row.facts.id for row in rows if desk.plans[row.facts.walk].codes])
        desk.invited = _invited([row.facts for row in rows], desk)
        refused: list[tuple[DeliveryFacts, Left | Suppressed]] = []
        released: list[int] = []
        drafts: list[_Draft] = []
        for ours in rows:
            row = ours.facts
            frozen = desk.plans[row.walk]
            gate = _gate(row, frozen, desk)
            if gate is Reason.RETRY_LATER:
                released.append(row.id)
                continue
            if gate is not None:
                refused.append((row, Suppressed(gate, desk.now)))
                continue
            draft = _draft(ours, frozen, desk, channel_id, capabilities)
            if isinstance(draft, Reason):
                refused.append((row, Left(row.step, draft, desk.now)))
            elif not _afford(draft, desk):
                released.append(row.id)
                result.over_budget.add(row.campaign_id or 0)
            else:
                drafts.append(draft)
                if desk.caps and row.id not in desk.touched and row.contact_id is not None:
                    desk.touches[row.contact_id].append(desk.now)
        # What a channel resolves it has asked for already: a found address is a registered one.
        _write_attempts(drafts, by_id, desk, result, channel_id, ask_first=ask_first and not capabilities.resolves)
        _release(released)
        _refuse(refused, desk)


def _lock(by_id: dict[int, Claim]) -> tuple[list[_Row], datetime | None]:
    """Lock the rows that are still ours (the fence says whose they are); with the transaction's moment."""
    rows: list[_Row] = []
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [list(by_id)])
        found = cursor.fetchall()
    for *facts, variables, tries, leased, _ in found:
        row = DeliveryFacts._make(facts)
        if leased and row.fence == by_id[row.id].fence:
            rows.append(_Row(row, _json(variables), tries))
    return rows, found[0][-1] if found else None


def _json(value: Any) -> Any:
    """Django's psycopg hands jsonb over as text where no field converts it."""
    if isinstance(value, str):
        return {} if value == "{}" else json.loads(value)
    return value


def _open_desk(rows: Sequence[DeliveryFacts], channel_id: int, now: datetime, *, resolves: bool) -> _Desk:
    plans = {walk: frozen_plan(*walk) for walk in {row.walk for row in rows}}
    contact_ids = sorted({row.contact_id for row in rows if row.contact_id is not None})
    campaign_ids = sorted({row.campaign_id for row in rows if row.campaign_id is not None})
    marketing = any(plan.plan.purpose is Purpose.MARKETING for plan in plans.values())
    caps = frequency_caps() if marketing else []
    statuses: dict[int, str] = {}
    spends: dict[int, tuple[Decimal, Decimal]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_CARDS, [contact_ids])
        cards = {card[0]: _Card._make(card) for card in cursor.fetchall()}
        if campaign_ids:
            cursor.execute(_CAMPAIGNS, [campaign_ids])
            found = cursor.fetchall()
            statuses = {campaign_id: status for campaign_id, status, _ in found}
            budgets = {campaign_id: budget for campaign_id, _, budget in found if budget is not None}
            if budgets:
                spends = {
                    spend.campaign_id: (budgets[spend.campaign_id] - spend.reserved - spend.spent, Decimal(0))
                    for spend in CampaignSpend.objects.select_for_update().filter(campaign_id__in=budgets)
                }
    own: dict[int, str] = {}
    routes = [route[channel_id] for plan in plans.values() for route in plan.routes if channel_id in route]
    if any(terms.by_address for terms in routes):
        # One that has died since it was decided is called all the same: the answer says so, the core goes on.
        own = {contact: value for (contact, _), (value, _) in own_addresses(contact_ids, [channel_id]).items()}
    found = found_addresses(contact_ids, channel_id) if resolves else {}
    touches: dict[int, list[datetime]] = defaultdict(list)
    touched: set[int] = set()
    if caps:
        recent = MarketingTouch.objects.filter(contact_id__in=contact_ids, at__gt=now - caps[-1][1])
        for delivery_id, contact_id, at in recent.values_list("delivery_id", "contact_id", "at"):
            touches[contact_id].append(at)
            touched.add(delivery_id)
    return _Desk(now, plans, cards, statuses, own, found, {}, {}, {}, touches, touched, caps, spends)


def _invited(rows: Sequence[DeliveryFacts], desk: _Desk) -> dict[int, dict[str, str]]:
    """Links into a dialogue for the people of this chunk, if what is about to be said shows any. Under the contacts' locks,
    which who comes with such a link takes first too (contacts.services.invitations)."""
    kinds = {kind for row in rows for kind in desk.plans[row.walk].terms[row.step].says.invites.values()}
    if not kinds:
        return {}
    chains = {terms.channel_id for plan in desk.plans.values() for terms in plan.terms}
    return invites.links(list(desk.cards), kinds, prefer=chains)


def _recall_tries(desk: _Desk, rows: Sequence[DeliveryFacts], channel_id: int) -> None:
    """By what the provider knows the first try of each row's step, for each address it went to through this account, and
    which of them are in doubt (R8)."""
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.delivery_id, a.address, a.client_ref, a.state FROM deliveries_attempt a"
            " JOIN unnest(%s::bigint[], %s::int[]) AS v(id, step) ON a.delivery_id = v.id AND a.step = v.step"
            " WHERE a.channel_id = %s ORDER BY a.try_no",
            [[row.id for row in rows], [row.step for row in rows], channel_id],
        )
        for delivery_id, address, ref, state in cursor.fetchall():
            desk.first_refs.setdefault((delivery_id, address), ref)
            desk.in_doubt.pop(delivery_id, None)
            if state == "unknown":
                desk.in_doubt[delivery_id] = address


def _gate(row: DeliveryFacts, frozen: FrozenPlan, desk: _Desk) -> Reason | None:
    """Whether this message may leave now: None, a reason to suppress it, or RETRY_LATER: let the core decide anew
    (a stop, a pause, quiet hours, a deadline: it knows what follows from each)."""
    if row.stop_reason:
        return Reason.RETRY_LATER
    if row.campaign_id is not None and desk.statuses.get(row.campaign_id) not in _MAY_SEND:
        return Reason.RETRY_LATER
    deadlines = [moment for moment in (row.not_after, frozen.plan.not_after) if moment is not None]
    if deadlines and min(deadlines) <= desk.now:
        return Reason.RETRY_LATER
    card = desk.cards.get(row.contact_id) if row.contact_id is not None else None
    if card is None:
        return Reason.CONTACT_DELETED
    window = frozen.plan.steps[row.step].window
    if window is not None and next_open_moment(window, desk.zone_of(row, frozen), desk.now) != desk.now:
        return Reason.RETRY_LATER
    if card.suppressed == SuppressionScope.ALL:
        return Reason.STOP_LIST
    if frozen.plan.purpose is not Purpose.MARKETING:
        return None
    return _marketing_gate(row, card, frozen, desk)


def _marketing_gate(row: DeliveryFacts, card: _Card, frozen: FrozenPlan, desk: _Desk) -> Reason | None:
    """R18: stop-list, consent, frequency. A withdrawn consent holds even where the owner switched the check off."""
    if card.suppressed == SuppressionScope.MARKETING:
        return Reason.STOP_LIST
    if card.marketing_consent == ConsentState.WITHDRAWN:
        return Reason.NO_CONSENT
    if frozen.check_consent and card.marketing_consent != ConsentState.GRANTED:
        return Reason.NO_CONSENT
    if card.paused:
        return Reason.RETRY_LATER  # the core waits until the answer has been read
    if row.id in desk.touched:
        return None  # its slot was taken by an earlier step of the same delivery
    seen = desk.touches[card.id]
    for messages, period in desk.caps:
        if sum(1 for at in seen if at > desk.now - period) >= messages:
            return Reason.FREQUENCY_CAP
    return None


@dataclass(slots=True)
class _Draft:
    row: DeliveryFacts
    try_no: int
    frozen: FrozenPlan
    terms: StepTerms
    message: OutgoingMessage
    parts: int
    price: Decimal
    consent_id: int | None
    #: The address is not the one to send to yet.
    asks: bool


def _draft(
    ours: _Row,
    frozen: FrozenPlan,
    desk: _Desk,
    channel_id: int,
    capabilities: Capabilities,
) -> _Draft | Reason:
    """The message for one person, or why this step cannot write it."""
    row = ours.facts
    terms = frozen.routes[row.step].get(channel_id)
    if terms is None:
        raise AssertionError("a delivery is ready on a channel that is not its step's")
    assert row.contact_id is not None  # noqa: S101 - the gate has refused those
    card = desk.cards[row.contact_id]
    address = _address(terms, card, desk.own_addresses.get(row.contact_id))
    if not address:
        return Reason.NO_ADDRESS
    address = desk.in_doubt.get(row.id) or desk.found_addresses.get((row.contact_id, address), address)
    code = desk.codes.get(row.id, "")
    if frozen.codes and not code:
        return Reason.EMPTY_VARIABLE  # over by now: its stop is on the way
    ref = secrets.token_urlsafe(16)
    marketing = frozen.plan.purpose is Purpose.MARKETING
    unsubscribe = f"{settings.PUBLIC_BASE_URL}/u/{ref}" if marketing else ""
    values = {**_values(card, ours, terms, desk), **({"code": code} if code else {})}
    link = f"{settings.PUBLIC_BASE_URL}/l/{ref}" if terms.says.source.link else ""
    leave = f"{settings.PUBLIC_BASE_URL}/u/{ref}"
    template = None
    try:
        rendered = terms.says.render(
            values,
            link=link,
            unsubscribe=leave,
            html=terms.kind is ChannelKind.EMAIL,
            trap=f"{settings.PUBLIC_BASE_URL}/l/{ref}/all",
        )
        if terms.template is not None:
            template = terms.template.fill(terms.says.values_of(values, link=link, unsubscribe=leave))
    except EmptyVariable:
        return Reason.EMPTY_VARIABLE
    if len(rendered.text) > terms.max_text:
        return Reason.MESSAGE_REFUSED
    parts = count_segments(rendered.text).parts if terms.counts_sms_parts else 1
    buttons = (Button(rendered.button, payload=ref),) if rendered.button and capabilities.buttons else ()
    message = OutgoingMessage(
        ref=ref,
        address=address,
        text=rendered.text,
        purpose=frozen.plan.purpose,
        subject=rendered.subject,
        html=rendered.html,
        buttons=buttons,
        ttl=terms.ttl,
        unsubscribe_url=unsubscribe if terms.kind is ChannelKind.EMAIL else "",
        repeats=desk.first_refs.get((row.id, address), ""),
        template=template,
        code=code,
        at=desk.now,
    )
    consent_id = card.consent_id if marketing else None
    asks = capabilities.resolves and address == card.phone
    return _Draft(row, ours.tries + 1, frozen, terms, message, parts, terms.price * parts, consent_id, asks)


def _address(terms: StepTerms, card: _Card, own: str | None) -> str | None:
    """What this step's channel reaches the person by; None where it cannot."""
    if terms.by_person:
        return card.phone or card.email or f"#{card.id}"
    if terms.by_address:
        return own
    return card.email if terms.by_email else card.phone


def _values(card: _Card, ours: _Row, terms: StepTerms, desk: _Desk) -> dict[str, Any]:
    """What the text may mention; our own links last: no column of a file can stand in for them."""
    values = overlay(_variables(card), ours.variables)
    return {**values, **terms.says.invited(desk.invited.get(card.id, {}))} if terms.says.invites else values


def _variables(card: _Card) -> dict[str, str]:
    return as_variables(
        card.name, card.full_name, card.phone, card.email, card.birthday, card.branch, _json(card.attributes)
    )


def _afford(draft: _Draft, desk: _Desk) -> bool:
    """Reserve the message's price in its campaign's budget (I9); True where there is none."""
    spend = desk.spends.get(draft.row.campaign_id) if draft.row.campaign_id is not None else None
    if spend is None:
        return True
    free, taken = spend
    if draft.price > free:
        return False
    desk.spends[draft.row.campaign_id or 0] = (free - draft.price, taken + draft.price)
    return True


def _write_attempts(
    drafts: Sequence[_Draft],
    claims: dict[int, Claim],
    desk: _Desk,
    result: Calling,
    channel_id: int,
    *,
    ask_first: bool,
) -> None:
    if not drafts:
        return
    recalls = _recalls([draft for draft in drafts if draft.row.step > 0])
    ttls = _shrunk_ttls([draft for draft in drafts if draft.terms.ttl is not None], desk)
    known = (
        _registered([d.row.contact_id for d in drafts if d.row.contact_id], channel_id, desk.now)
        if ask_first
        else set()
    )
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT,
            [
                [draft.row.id for draft in drafts],
                [draft.row.step for draft in drafts],
                [draft.try_no for draft in drafts],
                [channel_id] * len(drafts),
                [draft.message.address for draft in drafts],
                [draft.message.ref for draft in drafts],
                [draft.parts for draft in drafts],
                [draft.price for draft in drafts],
                [str(draft.terms.charged_on) for draft in drafts],
                [draft.consent_id for draft in drafts],
            ],
        )
        attempt_ids = {delivery_id: attempt_id for attempt_id, delivery_id in cursor.fetchall()}
        for campaign_id, (_, taken) in desk.spends.items():
            if taken:
                cursor.execute(
                    "UPDATE campaigns_campaignspend SET reserved = reserved + %s WHERE campaign_id = %s",
                    [taken, campaign_id],
                )
    _take_slots(drafts, desk)
    for draft in drafts:
        message = draft.message
        if draft.row.id in ttls:
            message = _with_ttl(message, ttls[draft.row.id], draft.terms)
        result.outgoing.append(
            Outgoing(
                attempt_id=attempt_ids[draft.row.id],
                row=draft.row,
                try_no=draft.try_no,
                terms=draft.terms,
                price=draft.price,
                message=message,
                wait=claims[draft.row.id].wait,
                zone=desk.zone_of(draft.row, draft.frozen),
                recall=recalls.get(draft.row.id),
                check=draft.asks or (ask_first and not _is_known(draft, desk, known)),
            )
        )


def _recalls(drafts: Sequence[_Draft]) -> dict[int, tuple[int, SentMessage]]:
    """Undelivered messages of earlier steps that their channel can take back (R7): delivery id -> (channel, message).

    Also where nobody says whether it arrived (a bot): the person may have read it by then, which the chain's page says,
    but two of the same message side by side are worse. Who clicked or answered has it delivered, and keeps it.
    """
    can = {
        draft.row.id: {
            (index, channel_id)
            for index, route in enumerate(draft.frozen.routes[: draft.row.step])
            for channel_id, terms in route.items()
            if terms.recall
        }
        for draft in drafts
    }
    wanted = [delivery_id for delivery_id, calls in can.items() if calls]
    if not wanted:
        return {}
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT delivery_id, step, channel_id, client_ref, address, provider_message_id, accepted_at"
            " FROM deliveries_attempt WHERE delivery_id = ANY(%s::bigint[]) AND state = 'accepted'"
            " AND delivered_at IS NULL AND recalled_at IS NULL AND provider_message_id <> '' ORDER BY step",
            [wanted],
        )
        for delivery_id, step, channel_id, ref, address, provider_id, accepted_at in cursor.fetchall():
            if (step, channel_id) in can[delivery_id]:
                found[delivery_id] = (channel_id, SentMessage(ref, address, provider_id, accepted_at))
    return found


def _shrunk_ttls(drafts: Sequence[_Draft], desk: _Desk) -> dict[int, timedelta]:
    """How long a message may live where a deadline shortens its step (R13): else a first message could arrive after
    the fallback has left (R7)."""
    hurried = [draft for draft in drafts if draft.row.not_after or draft.frozen.plan.not_after]
    if not hurried:
        return {}
    attempts = load_attempts([draft.row.id for draft in hurried])
    pauses = load_pauses({draft.row.campaign_id for draft in hurried if draft.row.campaign_id is not None})
    ttls = {}
    for draft in hurried:
        row, frozen = draft.row, draft.frozen
        around = Surroundings({}, frozenset(), desk.zone_of(row, frozen), pauses.get(row.campaign_id or 0, ()))
        state = build_state(frozen, row, attempts.get(row.id, ()), around)
        until = give_up_at(frozen.plan, state, row.step, desk.now)
        if until is not None:
            ttls[row.id] = max(until - desk.now, timedelta(seconds=1))
    return ttls


def _with_ttl(message: OutgoingMessage, ttl: timedelta, terms: StepTerms) -> OutgoingMessage:
    return replace(message, ttl=min(ttl, terms.ttl) if terms.ttl is not None else ttl)


def _registered(contact_ids: Sequence[int], channel_id: int, now: datetime) -> set[tuple[int, str]]:
    """Contacts and addresses this channel is known to reach: their registration need not be asked again."""
    rows = Reachability.objects.filter(
        contact_id__in=contact_ids, channel_id=channel_id, state=Reachability.State.REACHABLE, until__gt=now
    )
    return set(rows.values_list("contact_id", "address"))


def _is_known(draft: _Draft, desk: _Desk, known: set[tuple[int, str]]) -> bool:
    """Whether this channel is known to reach the message's address, or the phone that address was found for."""
    contact_id = draft.row.contact_id
    if contact_id is None:
        return False
    phone = desk.cards[contact_id].phone or ""
    return (contact_id, draft.message.address) in known or (contact_id, phone) in known


def _take_slots(drafts: Sequence[_Draft], desk: _Desk) -> None:
    """One slot of the frequency caps per delivery, under the contacts' locks (I8)."""
    if not desk.caps:
        return
    MarketingTouch.objects.bulk_create(
        [
            MarketingTouch(delivery_id=draft.row.id, contact_id=draft.row.contact_id, at=desk.now)
            for draft in drafts
            if draft.frozen.plan.purpose is Purpose.MARKETING
            and draft.row.id not in desk.touched
            and draft.row.contact_id is not None
        ],
        ignore_conflicts=True,
    )


def _release(delivery_ids: list[int]) -> None:
    """Back to the core, at once: it will say wait, stop or expire, and why."""
    if delivery_ids:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE deliveries_delivery SET state = 'waiting', due_at = now(), lease_until = NULL, channel_id = NULL"
                " WHERE id = ANY(%s::bigint[])",
                [delivery_ids],
            )


def _refuse(refused: Sequence[tuple[DeliveryFacts, Left | Suppressed]], desk: _Desk) -> None:
    """Fold the refusals in and write what follows from each."""
    if not refused:
        return
    rows = [row for row, _ in refused]
    attempts = load_attempts([row.id for row in rows])
    around = load_surroundings(rows, desk.plans, desk.now)
    verdicts = []
    for row, fact in refused:
        frozen = desk.plans[row.walk]
        known = build_state(frozen, row, attempts.get(row.id, ()), around[row.id])
        state, actions = settle(frozen.plan, apply(frozen.plan, known, fact), desk.now)
        if isinstance(fact, Left):
            actions = [Skip(fact.step, fact.reason), *actions]
        verdicts.append(verdict_of(row, frozen, state, actions))
    write(verdicts, {}, desk.now)


_STILL_MINE = """
SELECT a.client_ref FROM deliveries_attempt a JOIN deliveries_delivery d ON d.id = a.delivery_id
WHERE a.client_ref = ANY(%s) AND a.state = 'calling' AND d.state = 'leased' AND d.lease_until > now() + make_interval(secs => %s)
"""


def recover_lost_commit(refs: Sequence[str]) -> set[str]:
    """C9b: the connection died at the commit of TX-calling, so nobody knows whether the attempts exist.

    Returns the references that are committed and whose lease is still ours for long enough to call once. For
    all others the reaper decides; the worker must not call.
    """
    with connection.cursor() as cursor:
        cursor.execute(_STILL_MINE, [list(refs), (LEASE - LATEST_START).total_seconds()])
        return {row[0] for row in cursor.fetchall()}
