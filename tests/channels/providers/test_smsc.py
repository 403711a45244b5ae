"""SMSC: the battery, and what only SMSC has."""

import hashlib
from datetime import timedelta

import pytest

from channels.providers.base import Accepted, Answer, CallbackRequest, Failed, HttpCall, TtlRange
from tests.channels.providers.contract import CALLBACK_SECRET, REF, ProviderContract, make_provider


class TestSmsc(ProviderContract):
    slug = "smsc"
    config = {"apikey": "canary-api-key-0123456789", "recall_by_delete": True}
    secrets = ("canary-api-key-0123456789",)
    unknown_status = {"id": REF, "phone": "79120000000", "status": "777"}

    def sign(self, request: CallbackRequest, algorithm: str = "sha1") -> CallbackRequest:
        fields = make_fields(request)
        text = ":".join((fields.get("id", ""), fields.get("phone", ""), fields.get("status", ""), CALLBACK_SECRET))
        query = {**request.query, algorithm: hashlib.new(algorithm, text.encode()).hexdigest()}
        return CallbackRequest(request.method, query, request.headers, request.body)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        digest = request.query["sha1"]
        wrong = ("0" if digest[0] != "0" else "1") + digest[1:]
        return [
            CallbackRequest("POST", {"sha1": wrong}, {}, request.body),
            CallbackRequest("POST", {"sha1": ""}, {}, request.body),
            CallbackRequest("POST", {"sha1": digest[:-1]}, {}, request.body),
            CallbackRequest("POST", {"md5": digest}, {}, request.body),
            CallbackRequest("POST", {}, {}, request.body),
            CallbackRequest("POST", {"sha1": digest}, {}, request.body.replace(b"777", b"1")),
            CallbackRequest("POST", {"sha1": digest}, {}, b""),
        ]

    def check_ttl(self, call, asked) -> None:
        hours, minutes = map(int, call.form["valid"].split(":"))
        given = timedelta(hours=hours, minutes=minutes)
        assert timedelta(minutes=1) <= given <= timedelta(hours=24)
        assert given <= max(asked, timedelta(minutes=1))
        assert asked - given < timedelta(minutes=1) or given == timedelta(hours=24)

    def test_md5_is_good_too_and_may_come_in_a_header(self):
        plain = self.callback(self.unknown_status)
        self.provider().verify_callback(self.sign(plain, "md5"))
        digest = self.sign(plain, "md5").query["md5"]
        self.provider().verify_callback(CallbackRequest("POST", {}, {"md5": digest.upper()}, plain.body))


def make_fields(request: CallbackRequest) -> dict[str, str]:
    import json
    from urllib.parse import parse_qsl

    if not request.body:
        return dict(request.query)
    try:
        return {name: str(value) for name, value in json.loads(request.body).items()}
    except ValueError:
        return dict(parse_qsl(request.body.decode()))


CONFIG = TestSmsc.config
contract = TestSmsc()


def test_a_send_names_everything_the_wire_needs():
    (call,) = contract.provider(sender="SALON").build_send([contract.message(ttl=timedelta(minutes=15))])
    assert isinstance(call, HttpCall)
    assert call.form == {
        "apikey": "canary-api-key-0123456789",
        "fmt": "3",
        "charset": "utf-8",
        "cost": "3",
        "phones": "+79120000000",
        "mes": "Ждём вас завтра в 12:00",
        "id": REF,
        "sender": "SALON",
        "valid": "00:15",
    }
    assert call.url == "http://provider.invalid/api/sys/send.php"


def test_a_login_is_used_where_there_is_no_key():
    (call,) = make_provider("smsc", {"login": "me", "psw": "hunter22"}).build_send([contract.message()])
    assert (call.form["login"], call.form["psw"]) == ("me", "hunter22")
    assert "apikey" not in call.form


def test_an_old_account_gets_no_id_and_cannot_be_asked_by_it():
    provider = contract.provider(own_id=False)
    (call,) = provider.build_send([contract.message()])
    assert "id" not in call.form
    assert not provider.capabilities.lookup_by_ref
    assert provider.build_poll([contract.sent(provider_message_id="")]) == []


def test_a_poll_pairs_phones_and_ids_and_ends_with_commas():
    (call,) = contract.provider().build_poll(
        [contract.sent(), contract.sent("B" * 22, address="+79120000001", provider_message_id="")]
    )
    assert call.form["phone"] == "+79120000000,+79120000001,"
    assert call.form["id"] == f"3EB0C767D097B7C7C030,{'B' * 22},"


def test_a_batch_is_one_list_with_an_id_that_is_nobodys_reference():
    provider = contract.provider(batch=True)
    messages = [
        contract.message(f"{'r' * 20}{n:02d}", address=f"+791200000{n:02d}", text=f"текст: {n}") for n in range(3)
    ]
    (call,) = provider.build_send(messages)
    assert call.form["list"] == "+79120000000:текст: 0\n+79120000001:текст: 1\n+79120000002:текст: 2"
    assert call.form["id"] == f"b.{messages[0].ref}"
    assert not provider.capabilities.lookup_by_ref
    assert provider.capabilities.send_batch == 100
    body = b'{"id":"b.x","cnt":3,"cost":"14.4","phones":[{"phone":"79120000001","cost":"0","error":"7"},{"phone":"79120000002","cost":"4.8","error":""}]}'
    first, second, third = provider.read_send(call, Answer(status=200, body=body))
    assert first == Accepted(messages[0].ref, "b.x")
    assert isinstance(second, Failed)
    assert second.ref == messages[1].ref
    assert isinstance(third, Accepted)
    assert str(third.cost) == "4.8"


def test_a_batch_never_mixes_lifetimes_phones_twice_or_broken_lines():
    provider = contract.provider(batch=True)
    messages = [
        contract.message("a" * 22, address="+79120000001"),
        contract.message("b" * 22, address="+79120000001"),
        contract.message("c" * 22, address="+79120000002", text="two\nlines"),
        contract.message("d" * 22, address="+79120000003", ttl=timedelta(minutes=5)),
    ]
    messages += [contract.message(f"e{n:021d}", address=f"+7913000{n:04d}") for n in range(250)]
    calls = provider.build_send(messages)
    assert sorted(ref for call in calls for ref in call.refs) == sorted(message.ref for message in messages)
    for call in calls:
        assert len(call.refs) <= 100
        phones = [row.partition(":")[0] for row in call.form.get("list", call.form.get("phones", "")).split("\n")]
        assert len(phones) == len(set(phones)) == len(call.refs)
        if "valid" in call.form:
            assert call.refs == ("d" * 22,)


def test_the_ttl_range_snaps_down():
    ttl = TtlRange(timedelta(minutes=1), timedelta(hours=24), timedelta(minutes=1))
    assert ttl.snap(timedelta(seconds=119)) == timedelta(minutes=1)


@pytest.mark.parametrize("style", ["form", "json", "get"])
def test_one_event_has_one_key_however_it_comes(style):
    from emulator.providers.smsc import _hook

    fields = {"id": REF, "phone": "79120000000", "status": "1", "err": "0", "time": style}
    hook = _hook(style, fields)
    query = dict(pair.split("=") for pair in hook.query.split("&")) if hook.query else {}
    (report,) = contract.provider().read_callback(CallbackRequest(hook.method, query, {}, hook.body))
    assert report.event_key == f"{REF}:79120000000:1:0"


def test_an_account_without_key_and_login_is_refused_when_it_is_saved():
    for config in ({}, {"login": "me"}, {"psw": "hunter22"}):
        assert "API key" in make_provider("smsc", config).problem()
    for config in ({"apikey": "key"}, {"login": "me", "psw": "hunter22"}):
        assert make_provider("smsc", config).problem() == ""
