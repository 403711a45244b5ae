"""One-time codes: the digits go to the person, never to the program."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from api.serializers.fields import PhoneField
from deliveries.services.codes import Verdict


class CodeCreateSerializer(serializers.Serializer[Any]):
    phone = PhoneField()
    rules = serializers.CharField(max_length=50, help_text="Name of the rules in addresses, as made in the admin.")


class CodeSerializer(serializers.Serializer[Any]):
    """Keep the token: the entered digits are checked with it."""

    token = serializers.CharField()
    message = serializers.IntegerField(help_text="Ask /messages/{id}/ how far it is.")
    expires_at = serializers.DateTimeField()
    ask_again_after = serializers.IntegerField(help_text="Seconds.")


class CodeCheckSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=100)
    code = serializers.CharField(max_length=16, help_text="What the person entered.")


class CodeVerdictSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=[one.value for one in Verdict])
    ok = serializers.BooleanField(help_text="True only for `entered`: the phone is this person's.")
