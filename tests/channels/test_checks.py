"""Self-test, balance and "send one to me" over real HTTP to a local server."""

import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cascade.vocabulary import FailureClass
from channels.models import ChannelState
from channels.services import checks, health
from channels.tasks import ask_balances
from tests.channels.fakes import make_channel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fakes")]


@pytest.fixture
def provider(settings):
    """A tiny server; `answers` maps a path to (status, body), `seen` lists what came."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            length = int(self.headers.get("content-length") or 0)
            server.seen.append((self.path, self.rfile.read(length).decode()))
            status, body = server.answers.get(self.path, (200, ""))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = _answer

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.seen = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    settings.OUTGOING_ALLOWED_PRIVATE = [f"127.0.0.1/32:{server.server_port}"]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_passed_test_ends_account_trouble(provider):
    channel = make_channel("fake_sms", base_url=provider.url)
    health.note_results(channel.pk, 0, FailureClass.AUTH, "x", errors=5)
    assert checks.self_test(channel).ok
    assert health.closed_channels() == {}


def test_a_passed_test_proves_no_money(provider):
    channel = make_channel("fake_sms", base_url=provider.url)
    health.note_results(channel.pk, 0, FailureClass.BALANCE, "x")
    assert checks.self_test(channel).ok
    assert channel.pk in health.closed_channels()


def test_a_refused_token_is_said(provider):
    provider.answers["/me"] = (403, "")
    verdict = checks.self_test(make_channel("fake_sms", base_url=provider.url))
    assert not verdict.ok
    assert verdict.failure is FailureClass.AUTH


def test_T12_a_private_address_is_not_called_and_the_words_say_where_to_look():
    verdict = checks.self_test(make_channel("fake_sms", base_url="http://127.0.0.1:9"))
    assert not verdict.ok
    assert "address of the API" in verdict.message


def test_receipts_are_connected_where_the_provider_can_be_told(provider, settings):
    channel = make_channel("fake_telegram", base_url=provider.url)
    assert "https" in checks.connect_receipts(channel).message
    settings.PUBLIC_BASE_URL = "https://cascade.test"
    assert checks.connect_receipts(channel).ok
    ((path, body),) = provider.seen
    assert path == "/webhook"
    assert f"https://cascade.test/hooks/{channel.pk}/{channel.callback_secret}/" in body
    assert not checks.connect_receipts(make_channel("fake_sms", base_url=provider.url)).ok


def test_balance_is_kept(provider):
    provider.answers["/balance"] = (200, "123.45")
    channel = make_channel("fake_sms", base_url=provider.url)
    make_channel("fake_telegram", base_url=provider.url)
    make_channel("fake_sms", "off", base_url=provider.url, enabled=False)
    ask_balances()
    state = ChannelState.objects.get(channel=channel)
    assert state.balance == Decimal("123.45")
    assert state.balance_at is not None
    assert [path for path, _ in provider.seen] == ["/balance"]


def test_send_test_sends_one_real_message(provider):
    channel = make_channel("fake_sms", base_url=provider.url)
    verdict = checks.send_test(channel, "8 (912) 345-67-89", "Привет")
    assert verdict.ok, verdict
    ((path, body),) = provider.seen
    assert path == "/send"
    assert "+79123456789" in body


@pytest.mark.parametrize(
    ("slug", "address"),
    [("fake_sms", ""), ("fake_sms", "12"), ("fake_email", "nobody"), ("fake_email", "a b@c.ru")],
)
def test_a_wrong_address_costs_no_call(provider, slug, address):
    verdict = checks.send_test(make_channel(slug, base_url=provider.url), address, "x")
    assert not verdict.ok
    assert provider.seen == []


def test_no_money_in_a_test_opens_the_breaker(provider):
    provider.answers["/send"] = (402, "")
    channel = make_channel("fake_sms", base_url=provider.url)
    assert checks.send_test(channel, "+79123456789", "x").failure is FailureClass.BALANCE
    assert channel.pk in health.closed_channels()


def test_a_test_obeys_the_rate(provider):
    channel = make_channel("fake_sms", base_url=provider.url, rate=0.01)
    assert checks.send_test(channel, "+79123456789", "x").ok
    assert not checks.send_test(channel, "+79123456789", "x").ok
    assert len(provider.seen) == 1


def test_a_channel_that_is_off_sends_nothing(provider):
    channel = make_channel("fake_sms", base_url=provider.url, enabled=False)
    assert not checks.send_test(channel, "+79123456789", "x").ok
    assert provider.seen == []
