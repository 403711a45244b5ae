"""RECEIPTS: accept first, think later. Flow boxes 10 and 11.

`store()` runs inside the provider's request: verify, one INSERT, answer (I5). Everything else runs in batches from
the inbox: read by the adapter, match, raise milestones, note answers, mark due. A receipt whose message is not there
yet (it overtook our own TX-result) is parked and looked at again; one that nobody sent is kept a week and ignored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import connection, transaction

from cascade.intents import Intent, intent_of
from cascade.vocabulary import AddressKind, Milestone, Purpose, Reason
from channels.models import Channel, ChannelState
from channels.providers.base import (
    LETTER,
    AddressChange,
    AddressState,
    CallbackItem,
    CallbackRequest,
    Inbound,
    OptOut,
    Provider,
    Refusal,
    StatusReport,
)
from channels.services import setup
from channels.services.accounts import AccountError, adapter_for
from contacts.models import Contact, ContactAddress, SuppressionScope
from contacts.services import consents, suppressions
from contacts.services.addresses import keep_learned
from contacts.services.reachability import Learned
from deliveries.models import Attempt, HookKind, InboundMessage, Receipt
from deliveries.services import dialogues, pausing, reports
from deliveries.services.acks import acknowledge
from deliveries.services.consent import forget_marketing
from deliveries.services.dialogues import Welcome, welcome
from deliveries.services.outbox import announce
from deliveries.services.stops import stop_answered, stop_of_contact
from deliveries.snapshots import frozen_plan

logger = logging.getLogger(__name__)

BATCH = 500
#: A parked receipt is looked at again when it is twice as old, within these bounds; and given up after PARKED_FOR (I11).
_LOOK_AGAIN = (timedelta(seconds=2), timedelta(hours=1))
PARKED_FOR = timedelta(days=7)
#: An inbound message answers what we wrote in the last days, if anything.
_ANSWERS_WITHIN = timedelta(days=14)

_STORE = """
INSERT INTO deliveries_receipt (channel_id, dedup_key, method, query, headers, body, received_at, state, note)
VALUES (%s, %s, %s, %s, '{}', %s, now(), 'new', '')
ON CONFLICT (channel_id, dedup_key) DO NOTHING
"""


def store(channel_id: int, request: CallbackRequest) -> bool:
    """Keep a verified callback; False for a repetition of one already kept.

    One statement, durable when it returns. Headers are not stored: they hold the secret that was just verified.
    """
    query = json.dumps(dict(request.query), sort_keys=True) if request.query else "{}"
    with connection.cursor() as cursor:
        cursor.execute(_STORE, [channel_id, _digest(query, request.body), request.method, query, request.body])
        return bool(cursor.rowcount)


_STORE_ALL = """
INSERT INTO deliveries_receipt (channel_id, dedup_key, method, query, headers, body, received_at, state, note)
SELECT %s, v.dedup_key, v.method, v.query, '{}', v.body, now(), 'new', ''
FROM unnest(%s::bytea[], %s::text[], %s::jsonb[], %s::bytea[]) WITH ORDINALITY AS v(dedup_key, method, query, body, place)
ORDER BY v.place ON CONFLICT (channel_id, dedup_key) DO NOTHING
"""


def store_all(channel_id: int, requests: Sequence[CallbackRequest]) -> int:
    """Keep what was asked for, in the order it came, inside the caller's transaction. Returns how many are new."""
    queries = [json.dumps(dict(one.query), sort_keys=True) if one.query else "{}" for one in requests]
    keys = [_digest(query, one.body) for query, one in zip(queries, requests, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            _STORE_ALL, [channel_id, keys, [one.method for one in requests], queries, [one.body for one in requests]]
        )
        return int(cursor.rowcount)


def _digest(query: str, body: bytes) -> bytes:
    return hashlib.sha256(query.encode() + b"\n" + body).digest()


_TAKE = """
SELECT id, channel_id, method, query, body, received_at, now() FROM deliveries_receipt
WHERE state = 'new' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
_TAKE_PARKED = """
SELECT id, channel_id, method, query, body, received_at, now() FROM deliveries_receipt
WHERE state = 'parked' AND due_at <= now() ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_FILE = """
UPDATE deliveries_receipt r SET state = v.state, due_at = v.due_at, note = v.note
FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::text[]) AS v(id, state, due_at, note) WHERE r.id = v.id
"""


@dataclass(slots=True)
class _Letter:
    """One receipt on the desk, and what becomes of it."""

    id: int
    channel_id: int
    request: CallbackRequest
    received_at: datetime
    now: datetime
    items: list[CallbackItem] = field(default_factory=list)
    state: str = Receipt.State.APPLIED
    due_at: datetime | None = None
    note: str = ""
    #: Who has just opened a dialogue, with the account they opened it with (a sister's, see _hand_over).
    welcomes: list[tuple[int, Welcome]] = field(default_factory=list)


def process(limit: int = BATCH) -> int:
    """Work off up to `limit` new receipts, and parked ones that are due, in one transaction. Returns how many.

    Raises what the database raises; then all of them stay in the inbox. A receipt that our code cannot read is set
    apart with the reason and never stops the others.
    """
    with transaction.atomic():
        fresh = _take(_TAKE, limit)
        letters = fresh + _take(_TAKE_PARKED, limit)
        if not letters:
            return 0
        adapters = _adapters({letter.channel_id for letter in letters})
        for letter in letters:
            _read(letter, adapters.get(letter.channel_id))
        addressed = [*letters, *_hand_over(letters, adapters)]
        _apply_reports(addressed)
        learned: list[Learned] = []
        for letter in addressed:
            learned += _apply_others(letter, adapters)
        keep_learned(learned)
        _file(letters)
        seen = {letter.channel_id for letter in addressed}
        ChannelState.objects.filter(pk__in=seen).update(last_receipt_at=letters[0].now)
    _acknowledge([letter for letter in fresh if letter.channel_id in adapters])
    return len(letters)


def _acknowledge(letters: Sequence[_Letter]) -> None:
    """After the commit, as it is HTTP: what people wait for on their screens."""
    by_channel: dict[int, list[CallbackRequest]] = defaultdict(list)
    for letter in letters:
        if any(isinstance(item, Inbound) for item in letter.items):
            by_channel[letter.channel_id].append(letter.request)
    for channel_id, requests in by_channel.items():
        acknowledge(channel_id, requests)
    people: dict[int, list[Welcome]] = defaultdict(list)
    for channel_id, one in [pair for letter in letters for pair in letter.welcomes]:
        people[channel_id].append(one)
    for channel_id, newcomers in people.items():
        welcome(channel_id, newcomers)


def process_again(receipt_ids: Sequence[int]) -> int:
    """Put receipts back into the inbox (the owner pressed “process again”). Returns how many."""
    return Receipt.objects.filter(pk__in=receipt_ids).update(state=Receipt.State.NEW, due_at=None, note="")


def _take(sql: str, limit: int) -> list[_Letter]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [limit])
        return [
            _Letter(
                receipt_id,
                channel_id,
                CallbackRequest(method, json.loads(query) if isinstance(query, str) else query, {}, bytes(body)),
                received_at,
                now,
            )
            for receipt_id, channel_id, method, query, body, received_at, now in cursor.fetchall()
        ]


def _adapters(channel_ids: set[int]) -> dict[int, Provider]:
    found = {}
    for channel in Channel.objects.filter(pk__in=channel_ids):
        try:
            found[channel.pk] = adapter_for(channel)
        except AccountError as error:
            logger.warning("receipts of channel %s cannot be read: %s", channel.pk, error)
    return found


def _read(letter: _Letter, adapter: Provider | None) -> None:
    if adapter is None:
        letter.state, letter.note = Receipt.State.QUARANTINED, "the channel's settings cannot be read"
        return
    try:
        letter.items = adapter.read_callback(letter.request)
    except ValueError as error:
        letter.state, letter.note = Receipt.State.QUARANTINED, f"unreadable: {error}"[:300]
    except Exception as error:
        logger.exception("receipt %s broke its adapter", letter.id)
        letter.state, letter.note = Receipt.State.QUARANTINED, f"{type(error).__name__} in the adapter"[:300]
    else:
        if not letter.items:
            letter.state = Receipt.State.IGNORED


def _hand_over(letters: Sequence[_Letter], adapters: dict[int, Provider]) -> list[_Letter]:
    """What came in at one account's address about its sisters (Provider.callback_group), as letters to those, which are
    never filed: what nobody knows stays with the letter that brought it. Takes it off `letters`, and adds the sisters to
    `adapters`. What names an account that is not here is nobody's, and dropped.
    """
    shared = [one for one in letters if one.items and adapters[one.channel_id].callback_group]
    if not shared:
        return []
    groups: dict[str, set[int]] = defaultdict(set)
    adapters |= _adapters(set(Channel.objects.exclude(config_encrypted="").values_list("pk", flat=True)))
    for channel_id, adapter in adapters.items():
        groups[adapter.callback_group].add(channel_id)
    named = {(one.callback_group, one.account_name): channel_id for channel_id, one in adapters.items()}
    sent_by = _senders([item for one in shared for item in one.items if isinstance(item, StatusReport)], list(adapters))
    handed = []
    for letter in shared:
        group = adapters[letter.channel_id].callback_group
        sister = _only_sister(letter, sent_by, groups[group])
        if sister is not None:
            handed.append(
                replace(letter, channel_id=sister, items=list(adapters[sister].read_callback(letter.request)))
            )
            letter.items = []
            continue
        kept: list[CallbackItem] = []
        for index, item in enumerate(letter.items):
            owner: int | None = letter.channel_id
            if not isinstance(item, AddressChange) and item.account:
                owner = named.get((group, item.account))
            elif isinstance(item, StatusReport) and letter.channel_id not in sent_by(item):
                owner = next(iter(sent_by(item) & groups[group]), letter.channel_id)
            if owner == letter.channel_id:
                kept.append(item)
            elif owner is not None:
                # Read again as its own account reads it: the same items in the same order.
                its = adapters[owner].read_callback(letter.request)[index]
                handed.append(replace(letter, channel_id=owner, items=[its]))
        letter.items = kept
    return handed


def _senders(told: Sequence[StatusReport], channel_ids: Sequence[int]) -> Callable[[StatusReport], set[int]]:
    """Which channels have sent what these reports are about, by our reference or the provider's id; two queries."""
    mine = Attempt.objects.filter(channel_id__in=channel_ids)
    by_ident: dict[str, set[int]] = defaultdict(set)
    idents = {one.provider_message_id for one in told} - {""}
    for ident, channel_id in mine.filter(provider_message_id__in=idents).values_list(
        "provider_message_id", "channel_id"
    ):
        by_ident[ident].add(channel_id)
    refs = {one.ref for one in told} - {""}
    by_ref = dict(mine.filter(client_ref__in=refs).values_list("client_ref", "channel_id"))
    return lambda one: {by_ref[one.ref]} if one.ref in by_ref else by_ident.get(one.provider_message_id, set())


def _only_sister(letter: _Letter, sent_by: Callable[[StatusReport], set[int]], group: Collection[int]) -> int | None:
    """The other account of the group that has sent all this letter is about: it reads the letter whole, in its own
    way (one SMSC address serves text messages and robot calls, whose statuses mean other things)."""
    told = [item for item in letter.items if isinstance(item, StatusReport)]
    if not told or any(isinstance(item, Inbound) or getattr(item, "account", "") for item in letter.items):
        return None
    senders = set.intersection(*(sent_by(item) for item in told)) & set(group)
    return None if letter.channel_id in senders else next(iter(senders), None)


def _apply_reports(letters: Sequence[_Letter]) -> None:
    """Raise what the status reports of the whole batch say, channel by channel."""
    told: dict[int, list[tuple[_Letter, StatusReport]]] = defaultdict(list)
    for letter in letters:
        for item in letter.items:
            if isinstance(item, StatusReport):
                told[letter.channel_id].append((letter, item))
    news: dict[int, reports.News] = {}
    for channel_id, pairs in sorted(told.items()):
        of_channel: dict[int, reports.News] = defaultdict(reports.News)
        found = reports.match(channel_id, [report for _, report in pairs])
        strangers = {index: report for index, (_, report) in enumerate(pairs) if index not in found}
        found |= reports.adopt(channel_id, strangers, {index: pairs[index][0].received_at for index in strangers})
        nobodys = {index: report for index, report in strangers.items() if index not in found and not report.of_account}
        tests = setup.hear(channel_id, nobodys)
        for index, (letter, report) in enumerate(pairs):
            attempt_id = found.get(index)
            if report.of_account:
                letter.note = f"about the account: {report.raw}"[:300]
            elif index in tests:
                letter.note = "about the owner's test message"
            elif attempt_id is None:
                _park(letter)
            elif reports.is_unknown_word(report):
                letter.note = f"unknown status: {report.raw}"[:300]
                logger.warning("channel %s reports a status nobody knows: %s", channel_id, report.raw)
            else:
                of_channel[attempt_id].add(report, letter.received_at)
        reports.believe(channel_id, of_channel)
        news |= of_channel
    reports.apply(news)
    for channel_id, pairs in sorted(told.items()):
        reports.tell_health(channel_id, [report for _, report in pairs])


def _park(letter: _Letter) -> None:
    age = letter.now - letter.received_at
    if age > PARKED_FOR:
        letter.state, letter.note = Receipt.State.IGNORED, "no such message of ours"
        return
    wait = min(max(age, _LOOK_AGAIN[0]), _LOOK_AGAIN[1])
    letter.state, letter.due_at, letter.note = Receipt.State.PARKED, letter.now + wait, "its message is not known yet"


def _apply_others(letter: _Letter, adapters: dict[int, Provider]) -> list[Learned]:
    """What people did and what became of addresses; what that teaches about the addresses is returned."""
    learned = []
    for item in letter.items:
        if isinstance(item, StatusReport):
            continue
        if isinstance(item, OptOut):
            _apply_opt_out(letter, item, adapters[letter.channel_id])
            continue
        adapter = adapters[letter.channel_id]
        contact = _contact_of(letter.channel_id, item.address, adapter)
        if contact is not None:
            state, source = (
                (_state_of(item), "callback") if isinstance(item, AddressChange) else ("reachable", "inbound")
            )
            address = _spelled(contact, item.address, adapter)
            learned.append(Learned(contact.pk, letter.channel_id, address, state, source))
        by_mail = letter.request.method == LETTER
        if isinstance(item, Inbound) and by_mail and contact is None and not item.in_reply_to:
            # A mailbox gets letters of all the world: suppliers, spam. They are not ours to keep.
            letter.state, letter.note = Receipt.State.IGNORED, "neither an answer to us nor from anybody we know"
            # Known again by its digest, if it is read again; what it says is nobody's business here.
            Receipt.objects.filter(pk=letter.id).update(body=b"")
        elif isinstance(item, Inbound):
            setup.note_writer(letter.channel_id, item.address)
            _apply_inbound(letter, item, contact)
    return learned


def _state_of(change: AddressChange) -> str:
    return {
        AddressState.REACHABLE: "reachable",
        AddressState.NOT_REGISTERED: "not_registered",
        AddressState.BLOCKED: "blocked",
        AddressState.INVALID: "invalid",
    }[change.state]


def _contact_of(channel_id: int, address: str, adapter: Provider) -> Contact | None:
    """Whose address this is, by what this channel's addresses are."""
    kind = adapter.capabilities.address
    if kind is AddressKind.PHONE and not _is_id(address, adapter):
        digits = "".join(c for c in address if c.isdigit())
        found = Contact.objects.filter(phone=f"+{digits}").first()
    elif kind is AddressKind.EMAIL:
        found = Contact.objects.filter(email=address.strip().lower()).order_by("pk").first()
    else:
        found = None
    if found is not None:
        return found
    # A chat, or somebody's other number that a colleague has recognised.
    known = ContactAddress.objects.select_related("contact").filter(channel_id=channel_id, value=address).first()
    return known.contact if known else None


def _is_id(address: str, adapter: Provider) -> bool:
    """Whether this is the channel's own id of somebody whose phone is what is written to."""
    facts = adapter.capabilities
    return facts.resolves or (facts.learns_id and not address.startswith("+"))


def _spelled(contact: Contact, address: str, adapter: Provider) -> str:
    """The address as the contact's card spells it, where it stands there."""
    kind = adapter.capabilities.address
    if kind is AddressKind.PHONE and not _is_id(address, adapter):
        return contact.phone or address
    return contact.email or address if kind is AddressKind.EMAIL else address


def _apply_inbound(letter: _Letter, item: Inbound, contact: Contact | None) -> None:
    """Keep what the person wrote, once, and let it end what it answers (R10)."""
    attempt = _attempt_answered(letter, item, contact)
    if contact is None and attempt is not None:
        contact = attempt.delivery.contact
    at = min(item.at, letter.received_at) if item.at is not None else letter.received_at
    intent = _intent(item)
    message, stored = InboundMessage.objects.get_or_create(
        channel_id=letter.channel_id,
        event_key=item.event_key[:200],
        defaults={
            "address": item.address[:200],
            "contact": contact,
            "attempt": attempt,
            "text": item.text.replace("\x00", ""),
            "payload": item.payload[:200],
            "received_at": at,
            "intent": intent.value,
        },
    )
    # Known already (the provider repeated itself, the owner pressed “process again”): what it ended, it has ended. Once
    # more would end deliveries begun after it.
    if not stored:
        return
    opens = dialogues.opens(item)
    if opens:
        known, note = dialogues.recognise(letter.channel_id, item, contact)
        InboundMessage.objects.filter(pk=message.pk).update(contact=known, note=note, intent="", attempt=None)
        if item.text:
            letter.welcomes.append((letter.channel_id, Welcome(item.address, known is None or not known.phone)))
    announce(HookKind.RECEIVED, [message.pk])
    if opens:
        return
    if contact is None:
        return
    if item.refuses is Refusal.ALL:
        _refuse_all(contact, letter, item)
        return
    if intent is Intent.OPT_OUT:
        _opt_out(contact, letter, item)
        return
    if attempt is not None:
        if intent is Intent.YES and _asks_for(attempt, Milestone.GOAL):
            reports.raise_milestone(attempt.pk, Milestone.GOAL, at)
        reports.raise_milestone(attempt.pk, Milestone.REPLIED, at)
    if intent is Intent.DOUBTFUL:
        pausing.pause(contact.pk, message)
    stop_answered(contact.pk, [attempt.delivery_id] if attempt else [])


def _intent(item: Inbound) -> Intent:
    """A pressed button is a yes, a key for “no more” (a robot's call) a refusal; words mean what they mean."""
    if item.payload:
        return Intent.YES
    return Intent.OPT_OUT if item.refuses else intent_of(item.text)


def _asks_for(attempt: Attempt, milestone: Milestone) -> bool:
    """Whether this message's step waits for it: only there “yes” is the target action and not just an answer."""
    expectations = frozen_plan(attempt.delivery.plan_id, attempt.delivery.lead).plan.steps[attempt.step].expectations
    return any(one.milestone is milestone for one in expectations)


def _attempt_answered(letter: _Letter, item: Inbound, contact: Contact | None) -> Attempt | None:
    """The message this answers: named by its button or by the wire, else the newest one sent through this channel."""
    mine = Attempt.objects.select_related("delivery__contact").filter(channel_id=letter.channel_id)
    if item.payload:
        found = mine.filter(client_ref=item.payload).first()
        if found is not None:
            return found
    if item.in_reply_to:
        same = mine.filter(provider_message_id=item.in_reply_to)
        found = same.filter(address=item.address).first() or same.first()
        if found is not None:
            return found
    if contact is None:
        return None
    recent = mine.filter(delivery__contact=contact, called_at__gt=letter.now - _ANSWERS_WITHIN)
    return recent.exclude(state="failed").order_by("-called_at").first()


def _apply_opt_out(letter: _Letter, item: OptOut, adapter: Provider) -> None:
    """A complaint or an "unsubscribe" pressed elsewhere: of whom our letter was for, else of who has the address.

    An address that is on no card goes onto the stop-list all the same: it may be imported tomorrow.
    """
    told = StatusReport(item.event_key, item.word, item.ref, item.provider_message_id, item.address)
    attempt_id = reports.match(letter.channel_id, [told]).get(0)
    attempt = Attempt.objects.select_related("delivery__contact").filter(pk=attempt_id).first() if attempt_id else None
    contact = attempt.delivery.contact if attempt is not None else None
    if contact is None and item.address:
        contact = _contact_of(letter.channel_id, item.address, adapter)
    if contact is not None:
        stop_of_contact(contact.pk, Reason.OPTED_OUT, Purpose.MARKETING)
        forget_marketing(contact, source=f"channel {letter.channel_id}", evidence=item.word)
    elif item.address and adapter.capabilities.address in {AddressKind.EMAIL, AddressKind.PHONE}:
        source = f"channel {letter.channel_id}"
        with contextlib.suppress(suppressions.NotAnAddressError):
            suppressions.suppress(item.address, SuppressionScope.MARKETING, item.word, source)
    else:
        letter.state, letter.note = Receipt.State.IGNORED, "nobody of ours"


def _opt_out(contact: Contact, letter: _Letter, item: Inbound) -> None:
    """R18: no marketing any more, through any channel, to any of the person's addresses; what runs is stopped."""
    stop_of_contact(contact.pk, Reason.OPTED_OUT, Purpose.MARKETING)
    forget_marketing(contact, source=f"channel {letter.channel_id}", evidence=item.text)


def _refuse_all(contact: Contact, letter: _Letter, item: Inbound) -> None:
    """The person wants nothing at all from us: everything open ends, and nothing begins again."""
    stop_of_contact(contact.pk, Reason.OPTED_OUT)
    announce(HookKind.OPTED_OUT, [contact.pk])
    source = f"channel {letter.channel_id}"
    suppressions.suppress_contact(contact.pk, SuppressionScope.ALL, item.text[:200], source)
    consents.record(contact.pk, granted=False, source=source, evidence=item.text[:2000])


def _file(letters: Sequence[_Letter]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _FILE,
            [
                [letter.id for letter in letters],
                [str(letter.state) for letter in letters],
                [letter.due_at for letter in letters],
                [letter.note for letter in letters],
            ],
        )


def unsubscribe(client_ref: str, evidence: str) -> bool:
    """The person pressed “unsubscribe” under this message. False when the message is not known."""
    with transaction.atomic():
        attempt = Attempt.objects.select_related("delivery__contact").filter(client_ref=client_ref).first()
        if attempt is None:
            return False
        contact = attempt.delivery.contact
        if contact is not None:
            stop_of_contact(contact.pk, Reason.OPTED_OUT, Purpose.MARKETING)
            forget_marketing(contact, source=f"unsubscribe link, message {attempt.pk}", evidence=evidence)
        return True
