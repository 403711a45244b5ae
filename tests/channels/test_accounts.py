"""T10: credentials at rest, rotation, and what an adapter is built from."""

import json
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from channels.models import Channel, ChannelState
from channels.services import accounts
from tests.channels.fakes import FakeConfig, make_channel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fakes")]

CANARY = "canary-token-123"


def test_a_new_channel_takes_its_facts_from_the_adapter():
    channel = make_channel("fake_telegram", "Bot")
    assert (channel.kind, channel.rate, channel.charged_on) == ("telegram", 30, "accepted")
    assert ChannelState.objects.filter(channel=channel).exists()


def test_T10_nothing_readable_is_stored():
    channel = make_channel("fake_sms", proxy="http://user:proxy-canary@proxy.example:3128")
    row = Channel.objects.filter(pk=channel.pk).values().get()
    assert CANARY not in json.dumps(row, default=str)
    assert "proxy-canary" not in json.dumps(row, default=str)
    assert row["proxy"] == "http://proxy.example:3128"
    assert accounts.get_config(channel) == {"token": CANARY}
    assert accounts.proxy_for(channel) == "http://user:proxy-canary@proxy.example:3128"
    assert CANARY not in repr(accounts.get_secrets(channel))
    assert CANARY not in repr(accounts.adapter_for(channel).config)
    history = json.dumps(list(channel.history.values()), default=str)
    assert channel.config_encrypted not in history
    assert CANARY not in history


def test_fields_not_given_keep_their_value():
    channel = make_channel("fake_sms")
    accounts.set_config(channel, {"sender": "Salon"})
    assert accounts.get_config(channel) == {"token": CANARY, "sender": "Salon"}
    accounts.set_config(channel, {}, proxy="")
    assert accounts.proxy_for(channel) == ""


def test_the_adapter_is_cached_until_the_row_changes(settings):
    channel = make_channel("fake_sms")
    first = accounts.adapter_for(channel)
    assert accounts.adapter_for(Channel.objects.get(pk=channel.pk)) is first
    accounts.set_config(channel, {"token": "another"})
    channel.save()
    second = accounts.adapter_for(Channel.objects.get(pk=channel.pk))
    assert second is not first
    assert second.config.token == "another"
    channel.base_url = "http://127.0.0.1:9/x"
    assert accounts.adapter_for(channel).base == "http://127.0.0.1:9/x"


def test_T10_rotation_changes_the_key_and_nothing_else(settings):
    channels = [make_channel("fake_sms", f"c{index}") for index in range(3)]
    old = settings.CHANNEL_SECRET_KEYS
    new = Fernet.generate_key().decode()
    before = {one.pk: one.config_encrypted for one in channels}
    histories = [one.history.count() for one in channels]

    settings.CHANNEL_SECRET_KEYS = [new, *old]
    assert accounts.get_config(channels[0]) == {"token": CANARY}, "readable before the rotation"
    out = StringIO()
    call_command("rotate_channel_keys", stdout=out)
    assert "3" in out.getvalue()

    settings.CHANNEL_SECRET_KEYS = [new]
    for channel in Channel.objects.all():
        assert channel.config_encrypted != before[channel.pk]
        assert accounts.get_config(channel) == {"token": CANARY}, "readable without the old key"
    assert [one.history.count() for one in channels] == histories

    settings.CHANNEL_SECRET_KEYS = old
    with pytest.raises(accounts.AccountError):
        accounts.get_config(Channel.objects.first())


def test_T10_rotation_with_a_lost_key_changes_nothing(settings):
    make_channel("fake_sms", "a")
    broken = make_channel("fake_sms", "b")
    Channel.objects.filter(pk=broken.pk).update(config_encrypted=Fernet(Fernet.generate_key()).encrypt(b"{}").decode())
    before = list(Channel.objects.values_list("config_encrypted", flat=True))
    with pytest.raises(CommandError, match="b"):
        call_command("rotate_channel_keys")
    assert list(Channel.objects.values_list("config_encrypted", flat=True)) == before


def test_credentials_can_be_entered_again_when_the_key_is_lost(settings):
    channel = make_channel("fake_sms")
    settings.CHANNEL_SECRET_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(accounts.AccountError) as caught:
        accounts.adapter_for(channel)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    accounts.set_config(channel, {"token": "again"})
    assert accounts.adapter_for(channel).config.token == "again"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Token"),
        ({"token": ""}, "Token"),
        ({"token": None}, "Token"),
        ({"token": "x", "port": "abc"}, "Port"),
    ],
)
def test_incomplete_settings_are_said_by_their_label(values, message):
    with pytest.raises(accounts.AccountError, match=message):
        accounts.make_config(FakeConfig, values)


def test_old_rows_with_newer_adapters():
    config = accounts.make_config(FakeConfig, {"token": "x", "port": "2525", "forgotten": 1, "tls": False})
    assert (config.token, config.port, config.tls, config.sender) == ("x", 2525, False, "")


def test_an_unknown_provider_is_an_account_error():
    channel = make_channel("fake_sms")
    channel.provider = "gone"
    with pytest.raises(accounts.AccountError, match="gone"):
        accounts.adapter_for(channel)
