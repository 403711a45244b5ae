"""Webhooks: who is told what, and how that went."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from deliveries.models import HookEndpoint, HookEvent, HookKind
from deliveries.services.outbox import address_problem


class WebhookSerializer(serializers.ModelSerializer[HookEndpoint]):
    """An address that is told. Signed as standardwebhooks.com says."""

    url = serializers.URLField(max_length=500)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=HookKind.choices), allow_empty=False, max_length=len(HookKind.choices)
    )

    class Meta:
        model = HookEndpoint
        fields = ("id", "name", "url", "events", "enabled", "failing_since", "last_error", "created_at")
        read_only_fields = ("id", "failing_since", "last_error", "created_at")

    def validate_url(self, value: str) -> str:
        if problem := address_problem(value):
            raise serializers.ValidationError(_(problem))
        return value


class NewWebhookSerializer(WebhookSerializer):
    """With the secret: it is shown only in the answer that makes the webhook."""

    secret = serializers.CharField(read_only=True, help_text="whsec_...: to check signatures with.")

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")  # type: ignore[assignment]


class WebhookCallSerializer(serializers.ModelSerializer[HookEvent]):
    """One call. `due_at` empty and `told_at` empty: given up; ask for it again by `replay`."""

    id = serializers.SerializerMethodField()

    class Meta:
        model = HookEvent
        fields = ("id", "kind", "payload", "created_at", "tries", "due_at", "told_at", "status", "error")
        read_only_fields = fields

    def get_id(self, call: HookEvent) -> str:
        """The `webhook-id` the receiver saw."""
        return f"msg_{call.uid.hex}"


class ReplaySerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField(help_text="Everything that happened since then is told again.")


class ReplayedSerializer(serializers.Serializer[Any]):
    calls = serializers.IntegerField()
