"""Whom, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time

import pytest

from campaigns.models import Campaign, QuietHours
from campaigns.selectors import audience, audience_variables, intersect, is_never, window_for, windows_for
from cascade.plan import SendWindow
from cascade.vocabulary import ChannelKind
from contacts.models import Contact, ContactList, ListMember, Tag

People = Callable[..., ContactList]


def _names(campaign: Campaign) -> set[str]:
    return set(audience(campaign).values_list("name", flat=True))


def test_lists_and_tags_add_up_and_nobody_comes_twice(draft: Campaign, people: People) -> None:
    vip = Tag.objects.create(name="VIP")
    other = people(3, name="Другие")
    member = draft.lists.get().contacts.first()
    assert member is not None
    member.tags.add(vip)
    stranger = other.contacts.first()
    assert stranger is not None
    stranger.tags.add(vip)
    draft.tags.add(vip)
    assert audience(draft).count() == 11
    draft.lists.add(other)
    assert audience(draft).count() == 13


def test_exclusions_win(draft: Campaign, people: People) -> None:
    out = Tag.objects.create(name="не писать")
    member = draft.lists.get().contacts.first()
    assert member is not None
    member.tags.add(out)
    draft.exclude_tags.add(out)
    assert audience(draft).count() == 9
    draft.exclude_lists.add(draft.lists.get())
    assert audience(draft).count() == 0


def test_everybody_is_everybody_and_nobody_is_nobody(draft: Campaign, people: People) -> None:
    people(3, name="Другие")
    draft.lists.clear()
    assert audience(draft).count() == 0
    draft.everybody = True
    assert audience(draft).count() == Contact.objects.count()


def test_the_engine_can_put_the_audience_into_a_statement(draft: Campaign) -> None:
    draft.lists.clear()
    for campaign in (draft, Campaign.objects.get(pk=draft.pk)):
        sql, _ = audience(campaign).filter(id__gt=0).order_by("id").query.sql_with_params()
        assert "DISTINCT" not in sql
        assert "JOIN" not in sql


def test_the_newest_list_gives_the_values(draft: Campaign) -> None:
    person = draft.lists.get().contacts.first()
    assert person is not None
    newer = ContactList.objects.create(name="новее")
    ListMember.objects.create(list=newer, contact=person, variables={"order": "77"})
    ListMember.objects.filter(list=draft.lists.get(), contact=person).update(variables={"order": "1"})
    draft.lists.add(newer)
    values = dict(audience(draft).annotate(v=audience_variables(draft)).values_list("pk", "v"))
    assert values[person.pk] == {"order": "77"}
    assert set(map(str, values.values())) == {"{'order': '77'}", "{}"}
    draft.lists.clear()
    draft.everybody = True
    assert audience(draft).annotate(v=audience_variables(draft)).values_list("v", flat=True)[0] == {}


def test_R12_a_campaign_is_never_wider_than_the_house(draft: Campaign) -> None:
    assert window_for(draft, ChannelKind.SMS) is None
    QuietHours.objects.create(purpose="marketing", start=time(9), end=time(21))
    QuietHours.objects.create(purpose="marketing", kind="sms", start=time(10), end=time(20))
    QuietHours.objects.create(purpose="service", start=time(1), end=time(2))
    assert window_for(draft, ChannelKind.TELEGRAM) == SendWindow(time(9), time(21))
    assert window_for(draft, ChannelKind.SMS) == SendWindow(time(10), time(20))
    draft.window_start, draft.window_end = time(8), time(12)
    assert window_for(draft, ChannelKind.SMS) == SendWindow(time(10), time(12))
    assert windows_for(draft)[ChannelKind.TELEGRAM] == SendWindow(time(9), time(12))
    draft.window_start, draft.window_end = time(22), time(23)
    assert is_never(window_for(draft, ChannelKind.SMS))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ((9, 21), (0, 0), (9, 21)),
        ((0, 0), (9, 21), (9, 21)),
        ((9, 21), (20, 23), (20, 21)),
        ((22, 6), (23, 5), (23, 5)),
        ((22, 6), (5, 23), (5, 6)),
        ((22, 6), (3, 12), (3, 6)),
        ((9, 21), (21, 9), None),
    ],
)
def test_hours_of_two_owners_both_hold(one: tuple[int, int], other: tuple[int, int], both: tuple[int, int]) -> None:
    found = intersect(SendWindow(*map(time, one)), SendWindow(*map(time, other)))
    if both is None:
        assert is_never(found)
    else:
        assert found == SendWindow(*map(time, both))
