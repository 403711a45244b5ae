"""The battery every adapter must pass. A new one is a subclass with a handful of attributes and a fixtures folder.

    class TestSmsc(ProviderContract):
        slug = "smsc"
        config = {"apikey": "canary-api-key-0123456789"}
        secrets = ("canary-api-key-0123456789",)
        address = "+79120000000"

        def sign(self, request): ...   # where the provider signs: make a good callback of a plain one

Fixtures are JSON files in fixtures/<slug>/, shapes as the provider sends them; see test_fixtures below for their
fields. `$REF`, `$ID`, `$PHONE`, `$DIGITS`, `$TOKEN` in them stand for this test's values.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest

from cascade.vocabulary import FailureClass, Milestone, Purpose
from channels.mail_services import read_events
from channels.providers.base import (
    Accepted,
    AccountReport,
    AddressChange,
    Answer,
    Button,
    Call,
    CallbackItem,
    CallbackRejected,
    CallbackRequest,
    Failed,
    HttpCall,
    Inbound,
    NoAnswer,
    OptOut,
    OutgoingMessage,
    Provider,
    Pulled,
    SendResult,
    SentMessage,
    StatusReport,
    TemplatePage,
    Token,
)
from channels.providers.registry import provider_class
from channels.providers.wire import MAX_DETAIL, MAX_IDENT, MAX_RETRY_AFTER
from tests.channels.providers import fuzz

CALLBACK_SECRET = "canary-callback-secret-Zz09"
ACCESS_TOKEN = "canary-access-token-Qq77"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
REF = "AbCdEfGhIjKlMnOpQrSt_1"
PROVIDER_ID = "3EB0C767D097B7C7C030"
FIXTURES = Path(__file__).parent / "fixtures"
#: Random answers, and as many callbacks, for each adapter. `make fuzz` takes ten times as many.
FUZZ = int(os.environ.get("FUZZ_EXAMPLES", "2000"))

#: Bodies no provider should send and all of them do one day.
NASTY = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"0",
    b'"x"',
    b"true",
    b"NaN",
    b"1e400",
    b"[[[[[[[[[[",
    b"[" * 100_000,
    b'{"a":' * 5_000,
    b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    b"\xff\xfe\x00\x01",
    b'{"id": null, "idMessage": null, "ok": null, "error_code": null}',
    b'{"id": {}, "idMessage": [], "ok": 1, "error_code": {}, "result": 7}',
    b'{"id": "", "idMessage": "", "ok": true, "result": {}}',
    b'{"id": "a\\u0000b", "idMessage": "\\ud800", "ok": true, "result": {"message_id": "\\udc00"}}',
    b'{"ok": false}',
    b'{"ok": false, "error_code": 9999999999999999999999, "description": 5}',
    b'{"error": "x", "error_code": 424242}',
    b'{"error_code": "nine"}',
    b'{"status": false, "reason": "instance is starting or not authorized"}',
    b'{"id": ' + b"9" * 5000 + b"}",
    b'{"id": "' + b"x" * 5000 + b'", "idMessage": "' + b"x" * 5000 + b'"}',
    b'{"cost": "NaN", "id": 1, "cnt": 1}',
    b'{"cost": -5, "id": 1, "balance": "Infinity"}',
)
STATUSES = (
    0,
    100,
    200,
    201,
    204,
    301,
    302,
    307,
    400,
    401,
    402,
    403,
    404,
    407,
    409,
    413,
    422,
    429,
    466,
    500,
    502,
    503,
    530,
    550,
    999,
)


def nasty_answers() -> Iterator[Answer]:
    """Every kind of answer that is none, in combinations that have been seen or could be."""
    for why in NoAnswer:
        yield Answer(no_answer=why)
        yield Answer(no_answer=why, detail="why", status=200, body=b'{"id"')
    for body in NASTY:
        for status in (200, 400, 500):
            yield Answer(status=status, body=body)
    for status in STATUSES:
        yield Answer(status=status, body=b"oops", headers={"retry-after": "5"})
        yield Answer(status=status, headers={"smtp-stage": "rcpt"}, body=b"5.1.1 no")
    yield Answer(status=200, body=b'{"id":"1","idMessage":"1","ok":true,"result":{"message_id":1}}', truncated=True)
    for value in ("-5", "1e9", "99999999999999999999", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", ""):
        yield Answer(status=429, headers={"retry-after": value})


def make_provider(slug: str, config: dict[str, Any], base_url: str = "http://provider.invalid/api") -> Provider:
    found = provider_class(slug)
    provider = found(found.Config(**config), base_url=base_url, callback_secret=CALLBACK_SECRET)
    provider.read_events = read_events
    provider.token = ACCESS_TOKEN if provider.capabilities.token else ""
    return provider


class ProviderContract:
    """Subclass as Test<Name>; see the module's docstring."""

    slug: ClassVar[str]
    config: ClassVar[dict[str, Any]]
    secrets: ClassVar[tuple[str, ...]]
    address: ClassVar[str] = "+79120000000"
    other_address: ClassVar[str] = "+79120000099"
    #: What a registration check asks about, where it is not the address (Capabilities.resolves).
    phone: ClassVar[str] = ""
    #: Callbacks have a secret of some kind (SMTP has no callbacks).
    has_callbacks: ClassVar[bool] = True
    #: The wire has an answer that says "taken already" and no number.
    accepts_without_id: ClassVar[bool] = False
    #: Where a wire sends in two requests: the answer to the first after which the second is made.
    first_answer: ClassVar[Answer | None] = None
    #: A body with a status word nobody knows, and the request field it comes in; {} where there are no receipts.
    unknown_status: ClassVar[dict[str, Any]] = {}

    # --- helpers

    def provider(self, **changes: Any) -> Provider:
        return make_provider(self.slug, {**self.config, **changes})

    def message(self, ref: str = REF, **changes: Any) -> OutgoingMessage:
        fields: dict[str, Any] = {"ref": ref, "address": self.address, "text": "Ждём вас завтра в 12:00", "at": NOW}
        return OutgoingMessage(**{**fields, **changes})

    def messages(self, count: int) -> list[OutgoingMessage]:
        return [self.message(f"{REF[:-4]}{number:04d}") for number in range(count)]

    def sent(self, ref: str = REF, **changes: Any) -> SentMessage:
        fields: dict[str, Any] = {"ref": ref, "address": self.address, "provider_message_id": PROVIDER_ID}
        return SentMessage(**{**fields, **changes})

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        """The same callback as the provider would have secured it."""
        return request

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        """A good callback with its secret wrong by one character, in another case, empty, and missing."""
        raise NotImplementedError

    def all_secrets(self) -> tuple[str, ...]:
        token = (ACCESS_TOKEN,) if provider_class(self.slug).capabilities.token else ()
        return (*self.secrets, CALLBACK_SECRET, *token)

    def callback(self, value: Any, **changes: Any) -> CallbackRequest:
        fields: dict[str, Any] = {
            "method": "POST",
            "query": {},
            "headers": {"content-type": "application/json"},
            "body": json.dumps(value).encode(),
        }
        return CallbackRequest(**{**fields, **changes})

    def sending(self, provider: Provider) -> Call:
        """The call that really sends the message."""
        (call,) = provider.build_send([self.message()])
        if self.first_answer is None:
            return call
        follow_up = provider.build_follow_up(call, self.first_answer)
        assert follow_up is not None
        assert follow_up.refs == call.refs
        return follow_up

    def questions(self, provider: Provider) -> list[tuple[str, Call]]:
        """One call of every kind this adapter makes, with the name of its reader."""
        calls: list[tuple[str, Call]] = [("read_send", call) for call in provider.build_send(self.messages(3))]
        calls.append(("read_send", self.sending(provider)))
        calls += [("read_poll", call) for call in provider.build_poll([self.sent()])]
        calls += [("read_check", call) for call in provider.build_check([self.phone or self.address])]
        calls += [("read_self_test", call) for call in provider.build_self_test()]
        if (recall := provider.build_recall(self.sent())) is not None:
            calls.append(("read_recall", recall))
        if (balance := provider.build_balance()) is not None:
            calls.append(("read_balance", balance))
        if (templates := provider.build_templates()) is not None:
            calls.append(("read_templates", templates))
        if (setup := provider.build_callback_setup("https://example.org/hooks/x")) is not None:
            calls.append(("read_callback_setup", setup))
        if (token := provider.build_token(NOW)) is not None:
            calls.append(("read_token", token))
        calls += [("read_pull", call) for call in map(provider.build_pull, ("", "7", "7/1")) if call is not None]
        if (pull_setup := provider.build_pull_setup("https://example.org/hooks/x")) is not None:
            calls.append(("read_pull_setup", pull_setup))
        return calls

    # --- what leaves an adapter

    def check_results(self, provider: Provider, call: Call, results: Sequence[SendResult]) -> None:
        """Exactly one result for each ref, honest and clean."""
        assert [result.ref for result in results] == list(call.refs)
        for result in results:
            assert isinstance(result, Accepted | Failed)
            if isinstance(result, Accepted):
                assert result.milestone in {Milestone.ACCEPTED, Milestone.SENT}
                assert result.milestone in provider.capabilities.reports
                assert bool(result.provider_message_id) or self.accepts_without_id
                assert len(result.provider_message_id) <= MAX_IDENT
                assert len(result.resolved) <= MAX_IDENT
                assert not result.resolved or provider.capabilities.learns_id
                assert result.cost is None or (isinstance(result.cost, Decimal) and result.cost >= 0)
            else:
                assert isinstance(result.failure, FailureClass)
                assert result.retry_after is None or timedelta(0) <= result.retry_after <= MAX_RETRY_AFTER
                self.check_words(result.detail)
            self.check_storable(result)

    def check_items(self, provider: Provider, items: Sequence[CallbackItem]) -> None:
        for item in items:
            assert isinstance(item, StatusReport | Inbound | AddressChange | OptOut)
            assert item.event_key or isinstance(item, AddressChange)
            at = item.at
            assert at is None or (isinstance(at, datetime) and at.tzinfo is not None)
            if isinstance(item, StatusReport):
                assert item.milestone is None or item.failure is None
                facts = provider.capabilities
                assert item.milestone is None or item.milestone in {*facts.reports, *facts.now_and_then}
                assert len(item.provider_message_id) <= MAX_IDENT
                self.check_words(item.detail)
                self.check_words(item.raw)
            if isinstance(item, OptOut):
                assert item.ref or item.provider_message_id or item.address, "somebody must be meant"
                self.check_words(item.word)
            if not isinstance(item, StatusReport | OptOut) or item.address:
                assert 0 < len(item.address) <= MAX_IDENT
            self.check_storable(item)

    def check_token(self, found: Token | Failed) -> None:
        """A token that lives, or why there is none: nothing was sent, so no outcome is unknown and nobody is refused."""
        if isinstance(found, Token):
            assert found.value
            assert found.lifetime > timedelta(0)
            assert found.value not in repr(found)
            return
        assert found.failure in {
            FailureClass.AUTH,
            FailureClass.BALANCE,
            FailureClass.RATE_LIMITED,
            FailureClass.TRANSIENT,
        }
        assert found.retry_after is None or timedelta(0) <= found.retry_after <= MAX_RETRY_AFTER
        self.check_words(found.detail)
        self.check_storable(found)

    def check_pulled(self, provider: Provider, pulled: Pulled) -> None:
        """What was fetched can be read as a callback; trouble moves nothing and acknowledges nothing."""
        assert pulled.cursor is None or len(pulled.cursor) <= 500
        if pulled.trouble is not None:
            assert not pulled.trouble.ok
            assert (pulled.requests, pulled.cursor, pulled.acks, pulled.more) == ((), None, (), False)
            self.check_words(pulled.trouble.message % dict(pulled.trouble.params), 600)
        for call in pulled.acks:
            assert isinstance(call, HttpCall)
            assert call.url.startswith("http://provider.invalid/api/")
        for request in pulled.requests:
            with contextlib.suppress(ValueError):
                self.check_items(provider, provider.read_callback(request))

    def check_words(self, text: str, limit: int = MAX_DETAIL) -> None:
        assert len(text) <= limit
        assert "\n" not in text
        assert not any(secret in text for secret in self.all_secrets())

    def check_storable(self, value: Any) -> None:
        """PostgreSQL takes every string: no NUL, no half surrogates."""
        for field in dataclasses.fields(value):
            text = getattr(value, field.name)
            if isinstance(text, str):
                assert "\0" not in text
                text.encode()

    def read(self, provider: Provider, reader: str, call: Call, answer: Answer) -> None:
        """Let a reader read an answer and check what leaves it."""
        result = getattr(provider, reader)(call, answer)
        if reader == "read_send":
            self.check_results(provider, call, result)
        elif reader == "read_recall":
            assert isinstance(result, bool)
        elif reader == "read_token":
            self.check_token(result)
        elif reader == "read_pull":
            self.check_pulled(provider, result)
        elif reader in {"read_poll", "read_check"}:
            self.check_items(provider, result)
            if reader == "read_check" and provider.capabilities.resolves and not result:
                self.check_results(provider, call, [provider.read_unresolved(call, answer)])
        elif isinstance(result, TemplatePage):
            assert reader == "read_templates"
            for one in result.templates:
                assert 0 < len(one.name) <= 512
                assert 0 < len(one.language) <= 20
                for words in (one.category, one.quality, one.detail):
                    self.check_words(words)
                self.check_storable(one)
        else:
            assert isinstance(result, AccountReport)
            assert result.message
            self.check_words(result.message % dict(result.params) if result.params else result.message, 600)
            assert result.ok is (result.failure is None)

    # --- the tests: answers

    def test_every_ref_is_answered_once_whatever_comes(self) -> None:
        provider = self.provider()
        for reader, call in self.questions(provider):
            for answer in nasty_answers():
                self.read(provider, reader, call, answer)

    def test_a_lost_request_is_retried_and_a_lost_answer_never(self) -> None:
        provider = self.provider()
        call = self.sending(provider)
        (not_sent,) = provider.read_send(call, Answer(no_answer=NoAnswer.NOT_SENT))
        (maybe,) = provider.read_send(call, Answer(no_answer=NoAnswer.MAYBE_SENT))
        assert isinstance(not_sent, Failed)
        assert isinstance(maybe, Failed)
        assert (not_sent.failure, maybe.failure) == (FailureClass.TRANSIENT, FailureClass.OUTCOME_UNKNOWN)

    @pytest.mark.parametrize("body", [b"", b"{}", b"<html></html>", b'{"id":"1","idMessage":"1","ok":tr'])
    def test_P4_a_200_that_is_none_is_an_unknown_outcome(self, body: bytes) -> None:
        provider = self.provider()
        call = self.sending(provider)
        (result,) = provider.read_send(call, Answer(status=200, body=body))
        assert isinstance(result, Failed)
        assert result.failure is FailureClass.OUTCOME_UNKNOWN

    def test_A2_nobody_is_written_off_by_an_answer_that_says_nothing_about_them(self) -> None:
        provider = self.provider()
        for call in provider.build_check([self.phone or self.address]):
            for answer in nasty_answers():
                assert provider.read_check(call, answer) == []
                if provider.capabilities.resolves:
                    failed = provider.read_unresolved(call, answer)
                    self.check_results(provider, call, [failed])
                    assert failed.failure is not FailureClass.OUTCOME_UNKNOWN, "nothing was sent"
                    assert failed.failure is not FailureClass.RECIPIENT_PERMANENT

    # --- the tests: calls

    def test_calls_name_their_messages_in_order(self) -> None:
        provider = self.provider()
        messages = self.messages(7)
        calls = provider.build_send(messages)
        assert [ref for call in calls for ref in call.refs] == [message.ref for message in messages]
        assert all(1 <= len(call.refs) <= provider.capabilities.send_batch for call in calls)

    def test_building_is_a_function(self) -> None:
        messages = self.messages(3)
        assert self.provider().build_send(messages) == self.provider().build_send(messages)

    def test_calls_go_to_the_base_url_of_the_account_and_never_by_get_with_a_body(self) -> None:
        provider = self.provider()
        for _, call in self.questions(provider):
            if isinstance(call, HttpCall):
                assert call.url.startswith("http://provider.invalid/api/")
                assert sum(part is not None for part in (call.json, call.form, call.body)) <= 1
                assert not any(secret in json.dumps(dict(call.query)) for secret in self.secrets)

    def test_polls_are_batches_of_the_promised_size(self) -> None:
        provider = self.provider()
        batch = provider.capabilities.poll_batch
        sent = [self.sent(f"{REF[:-4]}{number:04d}", provider_message_id=f"id{number}") for number in range(250)]
        calls = provider.build_poll(sent)
        assert [ref for call in calls for ref in call.refs] == ([message.ref for message in sent] if batch else [])
        assert all(len(call.refs) <= batch for call in calls)

    def test_a_lookup_by_our_ref_is_possible_exactly_where_it_is_promised(self) -> None:
        provider = self.provider()
        calls = provider.build_poll([self.sent(provider_message_id="")])
        assert bool(calls) is provider.capabilities.lookup_by_ref

    def test_ttl_is_snapped_into_the_allowed_range(self) -> None:
        provider = self.provider()
        for seconds in (1, 59, 60, 61, 90, 3599, 86_400, 10**7):
            for call in provider.build_send([self.message(ttl=timedelta(seconds=seconds))]):
                self.check_ttl(call, timedelta(seconds=seconds))

    def check_ttl(self, call: Call, asked: timedelta) -> None:
        """Override where the wire has a time-to-live: the call's figure against what was asked."""
        assert self.provider().capabilities.ttl is None, "override check_ttl()"

    def test_texts_of_all_kinds_build(self) -> None:
        provider = self.provider()
        for text in (
            "",
            "x" * 50_000,
            "a\0b",
            "\ud800",
            "{}%s%(a)s",
            "'\"<b>&",
            "\u202ertl",
            "\U0001f642\U0001f468\u200d\U0001f469",
        ):
            messages = [
                self.message(text=text, buttons=(Button("Да", "yes"), Button("Карта", url="https://x.example")))
            ]
            (call,) = provider.build_send([*messages])
            assert call.refs == (REF,)

    def test_marketing_and_service_build(self) -> None:
        provider = self.provider()
        for purpose in Purpose:
            assert provider.build_send([self.message(purpose=purpose, unsubscribe_url="https://x.example/u/1")])

    # --- the tests: secrets and facts

    def test_T11_no_secret_is_in_a_repr(self) -> None:
        provider = self.provider()
        shown = repr(provider) + repr(provider.config) + repr(provider.capabilities)
        assert not any(secret in shown for secret in (*self.secrets, CALLBACK_SECRET))

    def test_T11_an_answer_that_repeats_our_secrets_is_scrubbed(self) -> None:
        provider = self.provider()
        for secret in self.all_secrets():
            for reader, call in self.questions(provider):
                for status in STATUSES:
                    for body in (
                        f"wrong token {secret}",
                        json.dumps({"error": secret, "error_code": 1, "description": secret, "ok": False}),
                        json.dumps({"path": f"/waInstance1/send/{secret}", "message": secret}),
                        "x" * (MAX_DETAIL - 8) + secret,
                    ):
                        self.read(provider, reader, call, Answer(status=status, body=body.encode()))

    def test_capabilities_are_complete_and_promises_have_methods(self) -> None:
        provider = self.provider()
        facts = provider.capabilities
        assert Milestone.ACCEPTED in facts.reports
        assert bool(provider.build_check([self.phone or self.address])) is facts.check
        assert (provider.build_recall(self.recallable()) is not None) is facts.recall
        assert (provider.build_balance() is not None) is facts.balance
        assert (provider.build_templates() is not None) is facts.templates
        assert (provider.build_token(NOW) is not None) is facts.token
        assert (provider.build_pull("") is not None) is facts.pull
        told = facts.pull and not facts.pull_always  # nobody has to be told where a mailbox is
        assert (provider.build_pull_setup("https://x.example/h") is not None) is told
        assert (provider.build_callback_setup("https://x.example/h") is None) is facts.callback_set_by_hand
        assert facts.default_rate > 0
        assert facts.max_text > 0
        assert provider.build_self_test()
        fields = dataclasses.fields(provider.Config)
        assert all("label" in field.metadata and "secret" in field.metadata for field in fields)
        for field in fields:
            assert field.metadata["secret"] is not field.repr, f"{field.name}: a secret is kept out of repr by secret()"

    def recallable(self) -> SentMessage:
        return self.sent()

    # --- the tests: callbacks

    def test_W1_a_callback_without_the_right_secret_is_rejected(self) -> None:
        provider = self.provider()
        if not self.has_callbacks:
            with pytest.raises(CallbackRejected):
                provider.verify_callback(self.callback({}))
            return
        good = self.sign(self.callback(self.unknown_status or {"update_id": 1}))
        provider.verify_callback(good)
        for bad in self.spoil(good):
            with pytest.raises(CallbackRejected):
                provider.verify_callback(bad)
        nobody = provider_class(self.slug)(provider.config, callback_secret="")
        with pytest.raises(CallbackRejected):
            nobody.verify_callback(good)

    def test_an_unknown_status_word_is_a_value(self) -> None:
        if not self.unknown_status:
            pytest.skip("this wire has no receipts")
        provider = self.provider()
        (report,) = provider.read_callback(self.sign(self.callback(self.unknown_status)))
        assert isinstance(report, StatusReport)
        assert (report.milestone, report.failure) == (None, None)
        assert report.raw

    def test_unreadable_callbacks_raise_value_error_and_nothing_else(self) -> None:
        provider = self.provider()
        for body in (*NASTY, b"a=b", b"%ff=%ff", b"a=b&" * 1000):
            try:
                items = provider.read_callback(self.callback({}, body=body))
            except ValueError:
                continue
            self.check_items(provider, items)

    # --- fuzz

    def test_fuzz_answers(self) -> None:
        provider = self.provider()
        questions = self.questions(provider)
        secrets = (*self.secrets, CALLBACK_SECRET)
        for number, die, answer in fuzz.answers(self.slug, FUZZ, self.good_bodies("answer"), secrets, STATUSES):
            try:
                self.read(provider, *die.choice(questions), answer)
            except BaseException as error:
                error.add_note(f"example {number}: {answer}")
                raise

    def test_fuzz_callbacks(self) -> None:
        provider = self.provider()
        secrets = (*self.secrets, CALLBACK_SECRET)
        for number, request in fuzz.callbacks(self.slug, FUZZ, self.good_bodies("request"), secrets):
            try:
                self.take(provider, request)
            except BaseException as error:
                error.add_note(f"example {number}: {request}")
                raise

    def take(self, provider: Provider, request: CallbackRequest) -> None:
        """Whatever comes in: nothing but the contract's items, or a refusal to read it; the same the second time."""
        with contextlib.suppress(CallbackRejected):
            provider.verify_callback(request)
        for call in provider.build_ack(request):
            assert isinstance(call, HttpCall)
        try:
            items = provider.read_callback(request)
        except ValueError:
            return
        self.check_items(provider, items)
        again = provider.read_callback(request)
        assert [item.event_key for item in again] == [item.event_key for item in items]

    # --- captured shapes

    def good_bodies(self, field: str) -> list[Any]:
        """Bodies of the fixtures, as seeds for the fuzzers."""
        found = []
        for path in sorted((FIXTURES / self.slug).glob("*.json")):
            for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
                part = case.get(field, {})
                found += [part[kind] for kind in ("json", "form", "text") if kind in part]
        return [self.fill(body) for body in found] or [{}]

    def fill(self, value: Any) -> Any:
        """`$REF` and its like replaced, anywhere inside a value."""
        if isinstance(value, dict):
            return {self.fill(name): self.fill(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        if isinstance(value, str):
            for name, real in (
                ("$REF", REF),
                ("$ID", PROVIDER_ID),
                ("$PHONE", self.address),
                ("$DIGITS", (self.phone or self.address).removeprefix("+")),
                ("$TOKEN", self.secrets[0]),
            ):
                value = value.replace(name, real)
        return value

    def test_fixtures(self, case: dict[str, Any]) -> None:
        """One captured shape: `question` (send, poll, check, balance, self_test, recall, token, callback), `answer` or
        `request`, `expect` (a subset of the fields that must come out), `config` (changed options)."""
        case = self.fill(case)
        provider = self.provider(**case.get("config", {}))
        if case["question"] == "callback":
            request = self.sign(_request(case["request"]))
            if case.get("unsigned"):
                request = _request(case["request"])
            if case["expect"] == "rejected":
                with pytest.raises(CallbackRejected):
                    provider.verify_callback(request)
                return
            provider.verify_callback(request)
            if case["expect"] == "unreadable":
                with pytest.raises(ValueError, match=r"\w"):
                    provider.read_callback(request)
                return
            items = provider.read_callback(request)
            self.check_items(provider, items)
            assert _subset(case["expect"], items), items
            return
        build = {
            "send": lambda: self.sending(provider),
            "send_first": lambda: provider.build_send([self.message()])[0],
            "poll": lambda: provider.build_poll([self.sent()])[0],
            "check": lambda: provider.build_check([self.phone or self.address])[0],
            "balance": provider.build_balance,
            "self_test": lambda: provider.build_self_test()[0],
            "recall": lambda: provider.build_recall(self.recallable()),
            "token": lambda: provider.build_token(NOW),
            "templates": provider.build_templates,
            "callback_setup": lambda: provider.build_callback_setup("https://example.org/hooks/x"),
        }[case["question"]]
        call = build()
        assert call is not None
        answer = _answer(case["answer"])
        reader = "read_send" if case["question"] == "send_first" else f"read_{case['question']}"
        self.read(provider, reader, call, answer)
        assert _subset(case["expect"], getattr(provider, reader)(call, answer)), getattr(provider, reader)(call, answer)


def cases(slug: str) -> list[Any]:
    """pytest parameters of a fixtures folder."""
    found = []
    for path in sorted((FIXTURES / slug).glob("*.json")):
        for number, case in enumerate(json.loads(path.read_text(encoding="utf-8"))["cases"]):
            found.append(pytest.param(case, id=f"{path.stem}-{case.get('name', number)}"))
    return found


def generate_cases(metafunc: pytest.Metafunc) -> None:
    """For a conftest's pytest_generate_tests: `case` comes from the class's own folder."""
    if "case" in metafunc.fixturenames and metafunc.cls is not None and hasattr(metafunc.cls, "slug"):
        metafunc.parametrize("case", cases(metafunc.cls.slug))


def _answer(shape: dict[str, Any]) -> Answer:
    body = shape.get("text", "").encode() if "json" not in shape else json.dumps(shape["json"]).encode()
    return Answer(status=shape["status"], headers=shape.get("headers", {}), body=body)


def _request(shape: dict[str, Any]) -> CallbackRequest:
    headers = dict(shape.get("headers", {}))
    body = b""
    if "json" in shape:
        body, headers = json.dumps(shape["json"]).encode(), {"content-type": "application/json", **headers}
    elif "form" in shape:
        encoding = shape.get("charset", "utf-8")
        body = urlencode(shape["form"], encoding=encoding).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", **headers}
    elif "text" in shape:
        body = shape["text"].encode()
    return CallbackRequest(shape.get("method", "POST"), shape.get("query", {}), headers, body)


def _subset(expected: Any, found: Any) -> bool:
    """Whether `found` has everything that is expected: lists item by item, objects by the fields that are named."""
    if isinstance(expected, list):
        return (
            isinstance(found, list | tuple)
            and len(expected) == len(found)
            and all(_subset(a, b) for a, b in zip(expected, found, strict=True))
        )
    if isinstance(expected, dict):
        if isinstance(found, dict):
            return expected == found
        if "type" in expected and type(found).__name__ != expected["type"]:
            return False
        return all(_subset(value, getattr(found, name)) for name, value in expected.items() if name != "type")
    if isinstance(found, Decimal):
        return found == Decimal(str(expected))
    if isinstance(found, timedelta):
        return found.total_seconds() == expected
    if isinstance(found, datetime):
        return found == datetime.fromisoformat(expected)
    return bool(expected == found)


# --- fuzzers
