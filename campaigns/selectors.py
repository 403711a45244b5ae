"""Questions about a campaign: whom, with which values, and when it may speak. No side effects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time, timedelta
from functools import reduce
from operator import or_

from django.db.models import Case, CharField, Exists, JSONField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Now

from campaigns.models import Campaign, FrequencyCap, QuietHours
from cascade.plan import SendWindow
from cascade.vocabulary import AddressKind, ChannelKind, Purpose, Reason
from channels.models import ChainStep, Channel
from channels.providers.registry import provider_class
from channels.services.chains import accounts_of
from contacts.models import ConsentState, Contact, ContactAddress, ListMember, Reachability, SuppressionScope

_DAY = 24 * 60
#: A window that never opens: no weekday at all.
_NEVER = frozenset[int]()


def audience(campaign: Campaign) -> QuerySet[Contact]:
    """Everybody this campaign means, once each: all contacts, or who is on one of its lists, has one of its tags or a living
    dialogue in one of its channels; minus the exclusions. Nobody for a campaign that names nobody.

    Only EXISTS, no joins: so the engine can add `id > cursor ORDER BY id LIMIT n` for its INSERT ... SELECT and get
    each person once without a DISTINCT over a million rows. A filter that can match nobody stays ordinary SQL
    (`none()` has no SQL that could be put into a statement).
    """
    people = Contact.objects.all()
    if not campaign.everybody:
        lists = [one.pk for one in campaign.lists.all()]
        tags = [one.pk for one in campaign.tags.all()]
        meant = [Q(_on_list(lists))] if lists else []
        meant += [Q(_tagged(tags))] if tags else []
        meant += [in_dialogue(one.pk) for one in campaign.dialogues.all()]
        people = people.filter(reduce(or_, meant)) if meant else people.filter(pk__lt=0)
    excluded_lists = [one.pk for one in campaign.exclude_lists.all()]
    excluded_tags = [one.pk for one in campaign.exclude_tags.all()]
    if excluded_lists:
        people = people.filter(~_on_list(excluded_lists))
    if excluded_tags:
        people = people.filter(~_tagged(excluded_tags))
    return people


def audience_variables(campaign: Campaign) -> Combinable:
    """The columns of the campaign's own files for one person, as an annotation on audience(): {} without any.

    Of several lists the newest speaks: it is the one the owner has just uploaded.
    """
    empty = Value({}, output_field=JSONField())
    lists = [one.pk for one in campaign.lists.all()]
    if not lists:
        return empty
    rows = ListMember.objects.filter(contact_id=OuterRef("pk"), list_id__in=lists).order_by("-list_id")
    return Coalesce(Subquery(rows.values("variables")[:1]), empty, output_field=JSONField())


def refusal(campaign: Campaign) -> Case:
    """Why a person of the audience would get nothing at all, as an annotation: a Reason, or "" for nobody objects.

    The gates of the send, in their order (R11, R18). What is true now may be otherwise at the moment of the send,
    where it is asked again: this is for counting, never for deciding.
    """
    gates = [When(suppressed=SuppressionScope.ALL, then=Value(Reason.STOP_LIST.value))]
    if campaign.purpose == Purpose.MARKETING:
        gates.append(When(suppressed=SuppressionScope.MARKETING, then=Value(Reason.STOP_LIST.value)))
        # Also where the owner switched the check off: "no" said aloud is never overruled.
        gates.append(When(marketing_consent=ConsentState.WITHDRAWN, then=Value(Reason.NO_CONSENT.value)))
        if campaign.check_consent:
            gates.append(When(~Q(marketing_consent=ConsentState.GRANTED), then=Value(Reason.NO_CONSENT.value)))
        tired = over_cap()
        if tired is not None:
            gates.append(When(tired, then=Value(Reason.FREQUENCY_CAP.value)))
    return Case(*gates, default=Value(""), output_field=CharField())


def can_take(step: ChainStep) -> Q:
    """Who has what this step needs: a living address for one of its accounts, and the tag it asks for (R4)."""
    able = Q()
    for account in accounts_of(step):
        able |= _reachable(account)
    if step.only_tag_id is not None:
        able &= Q(_tagged([step.only_tag_id]))
    return able


def _reachable(channel: Channel) -> Q:
    """Who has an address in this channel that is not known to be dead."""
    address = provider_class(channel.provider).capabilities.address
    gone = Reachability.objects.filter(channel_id=channel.pk, until__gt=Now()).exclude(
        state=Reachability.State.REACHABLE
    )
    if address is AddressKind.EMAIL:
        return Q(email__isnull=False) & ~Q(Exists(gone.filter(contact_id=OuterRef("pk"), address=OuterRef("email"))))
    if address is AddressKind.PHONE:
        return Q(phone__isnull=False) & ~Q(Exists(gone.filter(contact_id=OuterRef("pk"), address=OuterRef("phone"))))
    if address is AddressKind.PERSON:
        return Q(pk__isnull=False)
    dead = gone.filter(contact_id=OuterRef("contact_id"), address=OuterRef("value"))
    own = ContactAddress.objects.filter(contact_id=OuterRef("pk"), channel_id=channel.pk)
    return Q(Exists(own.exclude(Exists(dead))))


#: Set by register_words(); None until the engine has introduced itself.
_wrote: Callable[[int], Exists] | None = None


def register_words(wrote: Callable[[int], Exists]) -> None:
    """The engine tells how to ask "has this contact ever written through this channel?"."""
    global _wrote  # noqa: PLW0603 - imports go one way through the house, so the upper app comes to us at start
    _wrote = wrote


def in_dialogue(channel_id: int) -> Q:
    """Who has a living dialogue in this channel, as a condition on Contact: they brought an address of their own or have
    written, and the channel has not said since that they are gone or have blocked us."""
    bad = Reachability.objects.filter(channel_id=channel_id, until__gt=Now()).exclude(
        state=Reachability.State.REACHABLE
    )
    dead = bad.filter(contact_id=OuterRef("contact_id"), address=OuterRef("value"))
    own = ContactAddress.objects.filter(contact_id=OuterRef("pk"), channel_id=channel_id, found_for="")
    alive = Q(Exists(own.filter(~Exists(dead))))
    if _wrote is None:
        return alive
    # On a channel that calls people by phone nobody has an address of their own.
    return alive | (Q(_wrote(channel_id)) & ~Q(Exists(own)) & ~Q(Exists(bad.filter(contact_id=OuterRef("pk")))))


#: Set by register_touches(); None until the engine has introduced itself, and then nobody is over a cap.
_touched: Callable[[int, timedelta], Exists] | None = None


def register_touches(touched: Callable[[int, timedelta], Exists]) -> None:
    """The engine tells how to ask "has this contact had `messages` marketing messages within `period`?"."""
    global _touched  # noqa: PLW0603 - imports go one way through the house, so the upper app comes to us at start
    _touched = touched


def over_cap() -> Q | None:
    """Who has had enough marketing for now, as a condition on Contact; None without a cap in force (I8)."""
    if _touched is None:
        return None
    tired = Q()
    for messages, period in caps():
        tired |= Q(_touched(messages, period))
    return tired or None


def windows_for(campaign: Campaign) -> dict[ChannelKind, SendWindow]:
    """window_for() of every channel kind that has one; the shape channels.services.chains.freeze_steps() takes."""
    hours = _house_hours(campaign.purpose)
    found = {kind: _window(campaign, hours, kind) for kind in ChannelKind}
    return {kind: window for kind, window in found.items() if window is not None}


def house_windows(purpose: Purpose | str) -> dict[ChannelKind, SendWindow]:
    """The owner's standing hours by channel kind, for a message outside any campaign; kinds without hours are missing."""
    hours = _house_hours(str(purpose))
    found = {kind: hours.get(kind.value) or hours.get("") for kind in ChannelKind}
    return {kind: window for kind, window in found.items() if window is not None}


def window_for(campaign: Campaign, kind: ChannelKind | str) -> SendWindow | None:
    """When this campaign may speak through this kind of channel, in the recipient's local time; None = always (R12).

    The owner's standing hours (the row for the kind, else the one for the purpose) and the campaign's own hours both
    hold: a campaign can be narrower than the house, never wider. Hours that have nothing in common give a window
    that never opens, which the preflight refuses.
    """
    return _window(campaign, _house_hours(campaign.purpose), kind)


def _house_hours(purpose: str) -> dict[str, SendWindow]:
    """The owner's standing hours for a purpose by channel kind, "" for all other kinds."""
    return {row.kind: SendWindow(row.start, row.end) for row in QuietHours.objects.filter(purpose=purpose)}


def _window(campaign: Campaign, hours: dict[str, SendWindow], kind: ChannelKind | str) -> SendWindow | None:
    house = hours.get(str(kind)) or hours.get("")
    own = None
    if campaign.window_start is not None and campaign.window_end is not None:
        own = SendWindow(campaign.window_start, campaign.window_end)
    if house is None or own is None:
        return house or own
    return intersect(house, own)


def intersect(one: SendWindow, other: SendWindow) -> SendWindow:
    """The hours that lie in both. Two pieces (both windows reach round the clock from opposite sides): the longer one,
    because a SendWindow is one piece and half a night of sending time is not worth a second kind of window."""
    if one.start == one.end:
        return other
    if other.start == other.end:
        return one
    pieces = [(max(a, c), min(b, d)) for a, b in _minutes(one) for c, d in _minutes(other) if max(a, c) < min(b, d)]
    pieces = _join_at_midnight(pieces)
    if not pieces:
        return SendWindow(one.start, one.end, _NEVER)
    start, end = max(pieces, key=lambda piece: piece[1] - piece[0])
    return SendWindow(_clock(start), _clock(end))


def is_never(window: SendWindow | None) -> bool:
    """Whether these hours never come."""
    return window is not None and not window.weekdays


def caps() -> list[tuple[int, timedelta]]:
    """Frequency caps in force as (messages, period), shortest period first (R18)."""
    rows = FrequencyCap.objects.filter(enabled=True).order_by("days")
    return [(row.messages, timedelta(days=row.days)) for row in rows]


def _on_list(lists: list[int]) -> Exists:
    return Exists(ListMember.objects.filter(contact_id=OuterRef("pk"), list_id__in=lists))


def _tagged(tags: list[int]) -> Exists:
    return Exists(Contact.tags.through.objects.filter(contact_id=OuterRef("pk"), tag_id__in=tags))


def _minutes(window: SendWindow) -> list[tuple[int, int]]:
    """A window as pieces of one day, in minutes."""
    start, end = (at.hour * 60 + at.minute for at in (window.start, window.end))
    if start < end:
        return [(start, end)]
    return [piece for piece in ((0, end), (start, _DAY)) if piece[0] < piece[1]]


def _join_at_midnight(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """A piece up to midnight and one from midnight on are one night."""
    first = next((piece for piece in pieces if piece[0] == 0), None)
    last = next((piece for piece in pieces if piece[1] == _DAY), None)
    if first is None or last is None or first == last:
        return pieces
    return [piece for piece in pieces if piece not in (first, last)] + [(last[0], _DAY + first[1])]


def _clock(minutes: int) -> time:
    return time(*divmod(minutes % _DAY, 60))
