"""MTS Exolve: the battery, and what only Exolve has."""

from cascade.vocabulary import Milestone
from channels.providers.base import CallbackRequest, How, HttpCall
from tests.channels.providers.contract import ProviderContract

KEY = "canary-exolve-key-0123456789"


class TestExolve(ProviderContract):
    slug = "exolve"
    config = {
        "api_key": KEY,
        "sender": "SALON",
        "delivered_words": "delivered",
        "failed_words": "undelivered",
        "replies": True,
        "ask_balance": True,
    }
    secrets = (KEY,)
    unknown_status = {"message_id": "5", "delivery_status": "teleported"}

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        """Nothing in the callback itself can be wrong: the secret is in the path, and the door compares that
        (tests/deliveries/test_rules.py)."""
        return []


contract = TestExolve()


def test_a_send_names_everything_the_wire_needs():
    (call,) = contract.provider().build_send([contract.message()])
    assert isinstance(call, HttpCall)
    assert call.url == "http://provider.invalid/api/messaging/v1/SendSMS"
    assert call.headers == {"Authorization": f"Bearer {KEY}"}
    assert call.json == {"number": "SALON", "destination": "79120000000", "text": "Ждём вас завтра в 12:00"}


def test_until_the_owner_names_the_words_no_delivery_is_promised_and_nothing_is_asked():
    provider = contract.provider(delivered_words=" , ", failed_words="")
    assert Milestone.DELIVERED not in provider.capabilities.reports
    assert provider.capabilities.poll_batch == 0
    assert provider.build_poll([contract.sent()]) == []


def test_failed_words_alone_let_a_step_be_left_early():
    provider = contract.provider(delivered_words="", failed_words="4")
    assert Milestone.DELIVERED not in provider.capabilities.reports
    assert provider.capabilities.poll_batch == 1


def test_a_word_that_is_both_is_a_failure():
    provider = contract.provider(delivered_words="3", failed_words="3")
    (report,) = provider.read_callback(contract.callback({"message_id": "5", "delivery_status": 3}))
    assert report.milestone is None
    assert report.failure is not None


def test_delivery_is_asked_for_and_replies_are_told():
    reports = contract.provider().capabilities.reports
    assert (reports[Milestone.DELIVERED], reports[Milestone.REPLIED]) == (How.POLL, How.CALLBACK)
    assert Milestone.REPLIED not in contract.provider(replies=False).capabilities.reports
