"""The ledger, the stop-list, reachability and merging on a real PostgreSQL."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now

from cascade.vocabulary import Purpose
from contacts import selectors
from contacts.models import (
    Branch,
    Consent,
    Contact,
    ContactAddress,
    ContactList,
    ListMember,
    Reachability,
    Suppression,
    SuppressionScope,
    Tag,
)
from contacts.services import addresses, consents, merge, reachability, suppressions

pytestmark = pytest.mark.django_db

SPELLINGS = ["+7 (912) 345-67-89", "89123456789", "9123456789", "8-912-345-67-89", "79123456789.0"]


@pytest.fixture
def anna():
    return Contact.objects.create(phone="+79123456789", name="Анна")


def card(contact):
    contact.refresh_from_db()
    return contact


def test_consent_is_a_line_and_the_card_repeats_it(anna):
    line = consents.record(anna.pk, granted=True, source="form", wording="Согласна")
    assert (card(anna).marketing_consent, anna.consent_id) == ("granted", line.pk)
    later = consents.record(anna.pk, granted=False, source="chat")
    assert (card(anna).marketing_consent, anna.consent_id) == ("withdrawn", later.pk)


def test_an_older_line_does_not_change_the_card(anna):
    consents.record(anna.pk, granted=False, source="chat")
    consents.record(anna.pk, granted=True, source="paper", at=now() - timedelta(days=3))
    assert card(anna).marketing_consent == "withdrawn"
    assert anna.consents.count() == 2


def test_of_one_moment_the_withdrawal_counts(anna):
    at = now()
    consents.record(anna.pk, granted=False, source="a", at=at)
    consents.record(anna.pk, granted=True, source="b", at=at)
    assert card(anna).marketing_consent == "withdrawn"


def test_service_consent_leaves_the_marketing_card_alone(anna):
    consents.record(anna.pk, granted=True, source="form", purpose=Purpose.SERVICE)
    assert card(anna).marketing_consent == "unknown"


def test_a_consent_needs_a_source_and_a_past(anna):
    with pytest.raises(ValueError, match="source"):
        consents.record(anna.pk, granted=True, source=" ")
    with pytest.raises(ValueError, match="future"):
        consents.record(anna.pk, granted=True, source="x", at=now() + timedelta(hours=1))
    with pytest.raises(Contact.DoesNotExist):
        consents.record(anna.pk + 1, granted=True, source="x")


def test_the_database_refuses_to_rewrite_the_ledger(anna):
    line = consents.record(anna.pk, granted=True, source="form")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Consent.objects.filter(pk=line.pk).update(granted=False)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Consent.objects.filter(pk=line.pk).delete()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    line.refresh_from_db()
    assert line.granted


def test_the_ledger_goes_with_the_contact(anna):
    consents.record(anna.pk, granted=True, source="form")
    anna.delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not Consent.objects.exists()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_stop_outlives_deletion_and_comes_back_with_the_contact(anna, spelling):
    stopped = suppressions.suppress(spelling, SuppressionScope.MARKETING, "asked", "test")
    assert stopped.contact_ids == (anna.pk,)
    assert card(anna).suppressed == SuppressionScope.MARKETING
    anna.delete()
    assert Contact.objects.create(phone="+79123456789").suppressed == SuppressionScope.MARKETING
    assert Suppression.objects.get().hint == "+7912***6789"


def test_the_stricter_stop_stays(anna):
    suppressions.suppress("89123456789", SuppressionScope.ALL, "", "")
    suppressions.suppress("89123456789", SuppressionScope.MARKETING, "", "")
    assert Suppression.objects.get().scope == SuppressionScope.ALL
    assert card(anna).suppressed == SuppressionScope.ALL


def test_release_leaves_what_other_addresses_impose():
    both = Contact.objects.create(phone="+79123456789", email="Anna@Example.ru")
    phone = suppressions.suppress("89123456789", SuppressionScope.ALL, "", "").entry
    suppressions.suppress("ANNA@example.ru", SuppressionScope.MARKETING, "", "")
    assert suppressions.release(phone) == (both.pk,)
    assert card(both).suppressed == SuppressionScope.MARKETING


def test_a_stopped_chat_stops_the_contact_it_is_attached_to(anna):
    suppressions.suppress(suppressions.Address.chat(5, "777"), SuppressionScope.ALL, "/stop", "bot")
    addresses.attach(anna.pk, 5, "777")
    assert card(anna).suppressed == SuppressionScope.ALL


def test_another_key_is_an_error_and_not_an_empty_list(anna, settings):
    suppressions.suppress("89123456789", SuppressionScope.ALL, "", "")
    settings.SUPPRESSION_KEY = "another" * 10
    with pytest.raises(suppressions.KeyChangedError):
        Contact.objects.create(phone="+79031112233")


def test_what_is_not_an_address_is_refused():
    with pytest.raises(suppressions.NotAnAddressError):
        suppressions.suppress("Анна", SuppressionScope.ALL, "", "")


@pytest.mark.django_db(transaction=True)
def test_no_contact_is_born_beside_a_stop():
    """Whatever the order of the two commits, the contact ends stopped."""
    for round_no in range(20):
        phone = f"+7912345{round_no:04}"
        gate = threading.Barrier(2)

        def run(work, gate=gate):
            gate.wait()
            try:
                work()
            finally:
                connection.close()

        def born(phone=phone):
            with transaction.atomic():
                Contact.objects.create(phone=phone)

        threads = [
            threading.Thread(target=run, args=(born,)),
            threading.Thread(
                target=run, args=(lambda phone=phone: suppressions.suppress(phone, SuppressionScope.ALL, "", ""),)
            ),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Contact.objects.get(phone=phone).suppressed == SuppressionScope.ALL


def test_what_is_learned_is_believed_for_its_time(anna):
    fact = reachability.Learned(anna.pk, 1, "55", "not_registered", "check")
    gone = reachability.Learned(anna.pk + 1, 1, "55", "reachable", "send")
    assert reachability.learn([fact, gone]) == 1
    row = Reachability.objects.get()
    assert row.until - row.learned_at == timedelta(days=7)
    assert reachability.learn([fact, reachability.Learned(anna.pk, 1, "55", "reachable", "callback")]) == 1
    row.refresh_from_db()
    assert (row.state, row.source, row.until - row.learned_at) == ("reachable", "callback", timedelta(days=30))
    Reachability.objects.update(until=now() - timedelta(seconds=1))
    assert reachability.forget_expired() == 1


def test_of_several_addresses_the_newest_living_one_is_written_to(anna):
    """Another chat or another phone is another chance; what is known of the one says nothing of the other."""
    for value in ("old", "older", "newest"):
        addresses.attach(anna.pk, 4, value)
    ContactAddress.objects.filter(value="older").update(seen_at=now() - timedelta(days=2))
    ContactAddress.objects.filter(value="old").update(seen_at=now() - timedelta(days=1))

    def chosen():
        return selectors.own_addresses([anna.pk], [4, 5])[anna.pk, 4]

    assert chosen() == ("newest", "")
    reachability.learn([reachability.Learned(anna.pk, 4, "newest", "blocked", "send")])
    assert chosen() == ("old", "")
    reachability.learn([reachability.Learned(anna.pk, 4, "old", "not_registered", "send")])
    assert chosen() == ("older", "")
    reachability.learn([reachability.Learned(anna.pk, 4, "older", "blocked", "callback")])
    assert chosen() == ("newest", "blocked"), "all are dead: the newest, with what is known of it"
    addresses.keep_learned([reachability.Learned(anna.pk, 4, "older", "reachable", "inbound")])
    assert chosen() == ("older", "")
    Reachability.objects.update(until=now() - timedelta(seconds=1))
    assert chosen() == ("older", ""), "the person wrote from it last"
    assert anna.addresses.count() == 3, "the others are kept"
    stranger = Contact.objects.create(phone="+79120000077")
    addresses.attach(stranger.pk, 4, "older")
    assert chosen() == ("newest", ""), "a chat belongs to whoever shows up with it"


def test_what_is_told_about_a_found_id_is_known_of_the_phone_it_was_found_for(anna):
    addresses.attach(anna.pk, 6, "900", found_for="+79123456789")
    reachability.learn([reachability.Learned(anna.pk, 6, "900", "blocked", "callback")])
    assert Reachability.objects.get().address == "+79123456789"


def test_merging_takes_the_strictest(anna):
    branch = Branch.objects.create(name="Центр")
    other = Contact.objects.create(email="a@example.ru", full_name="Иванова Анна", branch=branch, attributes={"vip": 1})
    consents.record(anna.pk, granted=True, source="form")
    consents.record(other.pk, granted=False, source="letter", at=now() - timedelta(days=9))
    suppressions.suppress("a@example.ru", SuppressionScope.ALL, "", "")
    other.tags.add(Tag.objects.create(name="VIP"))
    roll = ContactList.objects.create(name="список")
    ListMember.objects.create(list=roll, contact=other, variables={"заказ": "7"})
    ContactAddress.objects.create(contact=other, channel_id=3, value="55")
    kept = merge.merge(anna.pk, other.pk)
    assert (kept.marketing_consent, kept.suppressed) == ("withdrawn", SuppressionScope.ALL)
    assert (kept.name, kept.full_name, kept.email, kept.branch) == ("Анна", "Иванова Анна", "a@example.ru", branch)
    assert kept.attributes == {"vip": 1}
    assert {line.source for line in kept.consents.all()} >= {"form", "letter"}
    assert roll.contacts.get() == kept
    assert kept.addresses.get().value == "55"
    assert kept.tags.get().name == "VIP"
    assert not Contact.objects.filter(pk=other.pk).exists()


def test_a_strangers_chat_card_is_merged_when_the_chat_gets_an_owner(anna):
    stranger = Contact.objects.create(name="Anna K")
    addresses.attach(stranger.pk, 9, "1001")
    addresses.attach(anna.pk, 9, "1001")
    assert not Contact.objects.filter(pk=stranger.pk).exists()
    assert anna.addresses.get().value == "1001"


def test_variables_of_a_text_come_in_one_query(anna, django_assert_num_queries):
    Contact.objects.filter(pk=anna.pk).update(
        attributes={"мастер": "Ольга", "name": "подмена", "vip": True, "пусто": None}
    )
    with django_assert_num_queries(1):
        found = selectors.template_variables([anna.pk, anna.pk + 1])
    assert found[anna.pk]["имя"] == found[anna.pk]["name"] == "Анна"
    assert (found[anna.pk]["мастер"], found[anna.pk]["vip"], found[anna.pk]["пусто"]) == ("Ольга", "да", "")
    assert set(found) == {anna.pk}
    assert {"мастер", "имя", "phone"} <= selectors.known_variables()
