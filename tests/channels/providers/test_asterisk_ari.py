"""Asterisk: the battery, the ear that follows calls, and what its reports mean."""

import base64
import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from cascade.vocabulary import FailureClass, Milestone, Reason
from channels.providers.base import Answer, Inbound, Refusal, StatusReport
from tests.channels.providers.contract import FUZZ, NASTY, REF, ProviderContract, make_provider

SECRET = "canary-ari-password-0123"
LOGIN = base64.b64encode(f"cascade:{SECRET}".encode()).decode()
START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ID = f"cascade-{REF}"


class TestAsterisk(ProviderContract):
    slug = "asterisk_ari"
    config = {"username": "cascade", "password": SECRET, "media": "sound:salon/reminder"}
    secrets = (SECRET, LOGIN)
    has_callbacks = False


contract = TestAsterisk()


class Phone:
    """An ear, a clock, and events as Asterisk tells them."""

    def __init__(self, **config):
        self.provider = contract.provider(**config)
        self.ear = self.provider.open_ear()
        self.now = START
        self.reports = []
        self.calls = []

    def _take(self, reaction):
        self.reports += [json.loads(one.body) for one in reaction.reports]
        self.calls += [
            f"{one.method} {one.url.removeprefix('http://provider.invalid/api/ari/')}" for one in reaction.calls
        ]
        self.last = reaction
        return reaction

    def hear(self, kind, after=0.0, channel=ID, **more):
        self.now += timedelta(seconds=after)
        channel = {"id": channel, "state": more.pop("state", "Up")}
        self._take(self.ear.hear(json.dumps({"type": kind, "channel": channel, **more}), self.now))

    def playback(self, kind, after=0.0, **more):
        self.now += timedelta(seconds=after)
        playback = {"id": "p1", "target_uri": f"channel:{ID}", "state": "done", **more}
        self._take(self.ear.hear(json.dumps({"type": kind, "playback": playback}), self.now))

    def wake(self, after=0.0):
        self.now += timedelta(seconds=after)
        self._take(self.ear.wake(self.now))

    def picks_up(self):
        (call,) = self.provider.build_send([contract.message()])
        self.hear("StasisStart", args=call.json["appArgs"].split(","))

    def outcome(self):
        """What the engine hears in the end."""
        from channels.providers.base import CallbackRequest

        body = json.dumps(self.reports[-1]).encode()
        return self.provider.read_callback(CallbackRequest("POST", {}, {}, body))


def test_a_call_has_an_id_of_ours_and_takes_with_it_what_is_to_be_said():
    provider = contract.provider(media="sound:http://127.0.0.1:5002/say?text={text}", caller_id="74950000000")
    (call,) = provider.build_send([contract.message(text="Ждём, Анна & Co")])
    assert call.url == f"http://provider.invalid/api/ari/channels/{ID}"
    assert call.headers == {"Authorization": f"Basic {LOGIN}"}
    ref, media, number = call.json["appArgs"].split(",")
    assert (ref, number) == (REF, "79120000000")
    said = base64.urlsafe_b64decode(media).decode()
    assert said.endswith("say?text=%D0%96%D0%B4%D1%91%D0%BC%2C%20%D0%90%D0%BD%D0%BD%D0%B0%20%26%20Co")
    assert call.json["endpoint"] == "PJSIP/79120000000@trunk"
    assert (call.json["app"], call.json["timeout"], call.json["callerId"]) == ("cascade", 25, "74950000000")


def test_played_to_the_end_is_listened_to_and_the_line_is_hung_up():
    phone = Phone()
    phone.hear("ChannelStateChange", state="Ringing")
    phone.hear("ChannelStateChange", state="Ringing")
    phone.picks_up()
    assert phone.calls == [f"POST channels/{ID}/play"]
    assert phone.last.calls[0].json == {"media": "sound:salon/reminder"}
    phone.playback("PlaybackStarted")
    phone.playback("PlaybackFinished", after=12)
    phone.wake(after=5)
    assert len(phone.calls) == 1, "a key may still come"
    phone.wake(after=1)
    assert phone.calls[-1] == f"DELETE channels/{ID}"
    phone.hear("ChannelDestroyed", cause=16, cause_txt="Normal Clearing")
    assert [one["word"] for one in phone.reports] == ["ringing", "ended"]
    (report,) = phone.outcome()
    assert (report.milestone, report.ref) == (Milestone.DELIVERED, REF)
    phone.hear("ChannelDestroyed", cause=16)
    assert len(phone.reports) == 2, "an end is told once"


def test_a_key_stops_the_voice_says_thanks_and_is_the_target_action():
    phone = Phone(thanks="sound:salon/thanks")
    phone.picks_up()
    phone.playback("PlaybackStarted")
    phone.hear("ChannelDtmfReceived", after=2, digit="1")
    assert phone.calls[-1] == "DELETE playbacks/p1"
    phone.hear("ChannelDtmfReceived", digit="2")
    phone.playback("PlaybackFinished")
    assert phone.last.calls[0].json == {"media": "sound:salon/thanks"}
    phone.playback("PlaybackStarted", id="p2")
    phone.playback("PlaybackFinished", after=1, id="p2")
    phone.wake()
    assert phone.calls[-1] == f"DELETE channels/{ID}"
    phone.hear("ChannelDestroyed", cause=16)
    (report,) = phone.outcome()
    assert report.milestone is Milestone.GOAL


@pytest.mark.parametrize(("key", "refuses"), [("2", Refusal.NOTHING), ("9", Refusal.MARKETING)])
def test_another_key_is_an_answer(key, refuses):
    phone = Phone(refuse_key="9")
    phone.picks_up()
    phone.hear("ChannelDtmfReceived", after=2, digit=key)
    phone.wake()
    assert phone.calls[-1] == f"DELETE channels/{ID}"
    phone.hear("ChannelDestroyed", cause=16)
    report, said = phone.outcome()
    assert report.milestone is Milestone.DELIVERED
    assert isinstance(said, Inbound)
    assert (said.address, said.text, said.refuses, said.in_reply_to) == ("+79120000000", key, refuses, ID)


@pytest.mark.parametrize(
    ("config", "seconds", "listened"),
    [
        ({}, 9, False),  # the length is not known
        ({"audio_seconds": 10}, 8, True),
        ({"audio_seconds": 10}, 7, False),
        ({"audio_seconds": 10, "share": 60}, 6, True),
        ({"audio_seconds": 4}, 4, False),  # an answering machine is as quick
    ],
)
def test_who_hangs_up_before_the_end(config, seconds, listened):
    phone = Phone(**config)
    phone.picks_up()
    phone.playback("PlaybackStarted")
    phone.hear("ChannelHangupRequest", after=seconds)
    phone.playback("PlaybackFinished")
    phone.hear("ChannelDestroyed", cause=16)
    (report,) = phone.outcome()
    assert (report.milestone is Milestone.DELIVERED) is listened
    assert report.reason is (None if listened else Reason.NO_ANSWER)


@pytest.mark.parametrize(
    ("cause", "means"),
    [
        *((cause, Reason.NO_ANSWER) for cause in (16, 17, 18, 19, 20, 21, 27, 31, 127)),
        *((cause, Reason.NOT_REGISTERED) for cause in (1, 28)),
        *((cause, FailureClass.TRANSIENT) for cause in (34, 38, 41, 42)),
    ],
)
def test_every_cause_of_a_call_nobody_took(cause, means):
    phone = Phone()
    phone.hear("ChannelDestroyed", cause=cause, cause_txt="words")
    (report,) = phone.outcome()
    assert means in (report.failure, report.reason)


def test_nobody_is_left_listening_to_silence():
    silent, endless, refused = Phone(), Phone(longest_seconds=60), Phone()
    silent.hear("StasisStart", args=[REF])
    silent.wake()
    assert silent.calls == [f"DELETE channels/{ID}"]
    endless.picks_up()
    endless.wake(after=59)
    assert len(endless.calls) == 1
    endless.wake(after=1)
    assert endless.calls[-1] == f"DELETE channels/{ID}"
    refused.picks_up()
    refused.ear.answered(refused.last.calls[0], Answer(status=404), refused.now)
    refused.wake()
    assert refused.calls[-1] == f"DELETE channels/{ID}"


def test_R8_what_ended_while_nobody_listened_is_unknown_and_what_goes_on_is_followed():
    phone, other = Phone(), "B" * 22
    question = phone.ear.connected([REF, other], START).calls[0]
    there = json.dumps([{"id": f"cascade-{other}", "state": "Up"}, {"id": "177.1", "state": "Up"}, "x"]).encode()
    phone._take(phone.ear.answered(question, Answer(status=200, body=there), START))
    assert [(one["ref"], one["word"]) for one in phone.reports] == [(REF, "lost")]
    (report,) = phone.outcome()
    assert isinstance(report, StatusReport)
    assert (report.failure, report.milestone) == (FailureClass.OUTCOME_UNKNOWN, None)
    phone.wake()
    assert phone.calls == [f"DELETE channels/cascade-{other}"], "who picked up meanwhile hears nothing: hung up"
    nothing = phone.ear.answered(question, Answer(status=500), START)
    assert not nothing.reports, "no answer writes nobody off"
    phone.hear("ChannelDestroyed", channel=f"cascade-{other}", cause=16)
    phone._take(phone.ear.answered(question, Answer(status=200, body=b"[]"), START))
    assert [one["word"] for one in phone.reports] == ["lost", "ended"], "what was heard to end is not lost"


def test_the_listener_is_asked_about_by_the_self_test():
    provider = contract.provider()
    info, app = provider.build_self_test()
    assert provider.read_self_test(info, Answer(status=404)).failure is not None
    verdict = provider.read_self_test(app, Answer(status=404))
    assert "listener" in verdict.message
    assert provider.read_self_test(app, Answer(status=200, body=b"{}")).ok


def test_fuzz_events():
    """Whatever is heard: only what the inbox takes leaves the ear, and it never breaks."""
    phone, die = Phone(), random.Random("events")
    kinds = ["StasisStart", "ChannelDestroyed", "ChannelDtmfReceived", "PlaybackFinished", "ChannelStateChange", "x", 7]
    junk = [None, 0, -1, 10**30, "", "x" * 3000, "\0", "\ud800", [], [1, None], {}, {"a": 1}, True, 1.5]
    ids = [{"id": ID, "state": "Up"}, {"id": ID}, {"id": "1.2"}, {"id": ID, "target_uri": f"channel:{ID}"}]
    for number in range(FUZZ):
        event = {"type": die.choice(kinds)}
        for name in ("channel", "playback", "args", "digit", "cause", "cause_txt"):
            if die.random() < 0.8:
                event[name] = die.choice(junk + ids * 4)
        phone._take(phone.ear.hear(json.dumps(event), START + timedelta(seconds=number)))
        phone.wake(after=die.choice([0, 0, 200]))
        if phone.reports:
            contract.check_items(phone.provider, phone.outcome())
    assert {one["word"] for one in phone.reports} >= {"ended"}
    for body in NASTY:
        phone.ear.hear(body.decode("utf-8", "replace"), START)


@pytest.mark.parametrize(
    ("config", "base", "word"),
    [
        ({}, "", "address"),
        ({"endpoint": "PJSIP/trunk"}, "http://10.0.0.5:8088", "{number}"),
        ({"refuse_key": "1"}, "http://10.0.0.5:8088", "differ"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_saved(config, base, word):
    from channels.providers.registry import provider_class

    found = provider_class("asterisk_ari")
    assert word in found(found.Config(**{**contract.config, **config}), base_url=base).problem()
    assert make_provider("asterisk_ari", contract.config).problem() == ""
