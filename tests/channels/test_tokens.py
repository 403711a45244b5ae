"""Access tokens: asked for once by all, renewed ahead of time, thrown away once when they are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.utils.timezone import now

from channels.models import Channel, ChannelToken
from channels.providers.base import Answer, Call, HttpCall, NoAnswer, Provider
from channels.services import tokens
from channels.services.accounts import build_adapter, create_channel

KEYS = {"client_id": "id", "client_secret": "canary-client-secret", "user_id": "94235311"}


def worker(secret: str = KEYS["client_secret"]) -> Provider:
    """The adapter as another process has it."""
    return build_adapter("avito", KEYS | {"client_secret": secret})


class Office:
    """Gives tokens out, one after the other."""

    def __init__(self, seconds: int = 86400) -> None:
        self.asked = 0
        self.seconds = seconds
        #: Cleared: the answer is held back until somebody sets it.
        self.open = threading.Event()
        self.open.set()
        self.refuses: Answer | None = None
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> Answer:
        assert isinstance(call, HttpCall)
        assert not connection.in_atomic_block, "no HTTP inside a transaction"
        with self._lock:
            self.asked += 1
            number = self.asked
        assert self.open.wait(30), "nobody let the answer go"
        if self.refuses is not None:
            return self.refuses
        return Answer(status=200, body=b'{"access_token":"token-%d","expires_in":%d}' % (number, self.seconds))


@pytest.fixture
def channel(transactional_db: Any) -> Channel:
    return create_channel("avito", "Авито", KEYS)


def in_threads(number: int, work: Callable[[], Any]) -> list[Any]:
    def one(_: int) -> Any:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_many_workers_ask_once_and_wait_for_the_same_answer(channel: Channel) -> None:
    office = Office()
    office.open.clear()
    begun = count(1)

    def work() -> str:
        provider = worker()
        if next(begun) == 8:
            office.open.set()  # all are there, one of them asking
        assert tokens.ready_now(channel.pk, provider, office) is None
        return provider.token

    assert set(in_threads(8, work)) == {"token-1"}
    assert office.asked == 1


def test_a_known_token_costs_no_query(channel: Channel, django_assert_num_queries: Any) -> None:
    provider = worker()
    tokens.ready_now(channel.pk, provider, Office())
    with django_assert_num_queries(0):
        assert tokens.ready_now(channel.pk, provider, Office()) is None
        assert tokens.known(channel.pk, provider) is not None


def test_it_is_kept_encrypted_and_opened_with_the_same_credentials_only(channel: Channel) -> None:
    office = Office()
    tokens.ready_now(channel.pk, worker(), office)
    row = ChannelToken.objects.get()
    assert "token-1" not in row.token_encrypted
    tokens.ready_now(channel.pk, same := worker(), office)
    assert (same.token, office.asked) == ("token-1", 1)
    tokens.ready_now(channel.pk, changed := worker("another secret"), office)
    assert (changed.token, office.asked) == ("token-2", 2), "the owner entered other keys"


def test_it_is_renewed_ahead_of_its_end_while_the_others_go_on_with_the_old_one(channel: Channel) -> None:
    office = Office()
    tokens.ready_now(channel.pk, worker(), office)
    ChannelToken.objects.update(renew_at=now() - timedelta(seconds=1), expires_at=now() + timedelta(minutes=4))

    office.open.clear()
    served = count(1)

    def work() -> str:
        provider = worker()
        assert tokens.ready_now(channel.pk, provider, office) is None
        if next(served) == 5:
            office.open.set()  # the others have gone on, and did not wait for the one that asks
        return provider.token

    assert sorted(in_threads(6, work)) == ["token-1"] * 5 + ["token-2"]
    assert office.asked == 2
    assert ChannelToken.objects.get().asked_until is None


def test_while_the_old_one_is_good_a_refusal_changes_nothing(channel: Channel) -> None:
    office = Office()
    tokens.ready_now(channel.pk, worker(), office)
    ChannelToken.objects.update(renew_at=now() - timedelta(seconds=1), expires_at=now() + timedelta(minutes=4))
    office.refuses = Answer(no_answer=NoAnswer.MAYBE_SENT, detail="timeout")
    for _ in range(5):
        assert tokens.ready_now(channel.pk, provider := worker(), office) is None
        assert provider.token == "token-1"
    assert office.asked == 2, "and is not asked again by everybody"


def test_a_refused_question_is_the_account_s_trouble_and_is_not_asked_by_each_message(channel: Channel) -> None:
    office = Office()
    office.refuses = Answer(status=401, body=b'{"error":"canary-client-secret"}')
    provider = worker()
    failed = tokens.ready_now(channel.pk, provider, office)
    assert failed is not None
    assert failed.failure == "auth"
    assert "canary" not in failed.detail
    held = tokens.known(channel.pk, provider)
    assert held is not None
    assert held.failed == failed, "the messages that waited for the same answer have it"
    office.refuses = None
    assert tokens.ready_now(channel.pk, provider, office) is None, "a check wants to know how it is now"
    assert office.asked == 2


def test_a_dead_worker_holds_the_question_up_no_longer_than_its_lease(channel: Channel) -> None:
    assert isinstance(tokens.take(channel.pk, worker()), tokens.Turn)
    assert tokens.take(channel.pk, worker()) is None
    ChannelToken.objects.update(asked_until=now() - timedelta(seconds=1))
    assert isinstance(tokens.take(channel.pk, worker()), tokens.Turn)


def test_a_token_refused_before_its_time_is_asked_for_again_once_and_never_in_a_loop(channel: Channel) -> None:
    office, provider = Office(), worker()
    tokens.ready_now(channel.pk, provider, office)
    assert tokens.drop(channel.pk, provider, "token-1")
    assert not tokens.drop(channel.pk, provider, "token-1"), "it is gone, and nobody is asking for another"
    tokens.ready_now(channel.pk, provider, office)
    assert provider.token == "token-2"
    assert not tokens.drop(channel.pk, provider, "token-2"), "a new one was refused at once: it is not the token"
    assert tokens.known(channel.pk, provider) is not None
    assert tokens.drop(channel.pk, worker(), "token-1"), (
        "another worker was refused with the old one: there is a new one"
    )
    assert office.asked == 2
    ChannelToken.objects.update(dropped_at=now() - timedelta(minutes=2))
    assert tokens.drop(channel.pk, provider, "token-2")


def test_nothing_is_done_for_an_account_without_tokens(db: Any, django_assert_num_queries: Any) -> None:
    sms = build_adapter("smsc", {"apikey": "key"})
    with django_assert_num_queries(0):
        assert tokens.ready_now(1, sms, Office()) is None
