"""Campaigns, what is known before a launch, and the report after it."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from campaigns.models import Campaign, CampaignStatus
from campaigns.services.lifecycle import say_reason
from contacts.models import ContactList, PurposeChoices, Tag


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    """Text, chain, people, time. Changed only while it is a draft."""

    purpose = serializers.ChoiceField(choices=PurposeChoices.choices, default=PurposeChoices.MARKETING.value)
    lists = serializers.PrimaryKeyRelatedField(many=True, queryset=ContactList.objects.all(), required=False)
    tags = serializers.PrimaryKeyRelatedField(many=True, queryset=Tag.objects.all(), required=False)
    exclude_lists = serializers.PrimaryKeyRelatedField(many=True, queryset=ContactList.objects.all(), required=False)
    exclude_tags = serializers.PrimaryKeyRelatedField(many=True, queryset=Tag.objects.all(), required=False)
    status = serializers.ChoiceField(choices=CampaignStatus.choices, read_only=True)
    why = serializers.SerializerMethodField()

    class Meta:
        model = Campaign
        fields = (
            "id",
            "name",
            "purpose",
            "template",
            "chain",
            "everybody",
            "lists",
            "tags",
            "exclude_lists",
            "exclude_tags",
            "check_consent",
            "scheduled_at",
            "not_after",
            "window_start",
            "window_end",
            "per_minute",
            "budget",
            "status",
            "why",
            "planned",
            "created_at",
            "launched_at",
            "finished_at",
        )
        read_only_fields = ("id", "planned", "created_at", "launched_at", "finished_at")
        extra_kwargs = {"per_minute": {"max_value": 1_000_000.0}}

    def get_why(self, campaign: Campaign) -> str:
        """Why it stands as it does, in words."""
        return say_reason(campaign)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start = attrs.get("window_start", getattr(self.instance, "window_start", None))
        end = attrs.get("window_end", getattr(self.instance, "window_end", None))
        if (start is None) != (end is None):
            raise serializers.ValidationError({"window_end": [_("Sending hours have both a beginning and an end.")]})
        return attrs


class FindingSerializer(serializers.Serializer[Any]):
    """Something that forbids the launch, and where it is mended."""

    message = serializers.CharField()
    object = serializers.CharField(help_text="What has to be changed.")
    id = serializers.IntegerField(allow_null=True)


class GroupSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    people = serializers.IntegerField()


class PreflightStepSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    channel = serializers.IntegerField(source="channel_id")
    sentence = serializers.CharField()
    people = serializers.IntegerField()
    cost = serializers.DecimalField(14, 2)


class PreflightSerializer(serializers.Serializer[Any]):
    """What the launch would do. Nothing is sent by asking."""

    audience = serializers.IntegerField()
    groups = GroupSerializer(many=True)
    steps = PreflightStepSerializer(many=True)
    cost_from = serializers.DecimalField(14, 2, help_text="Everybody is reached by their first step.")
    cost_to = serializers.DecimalField(14, 2, help_text="It cannot cost more.")
    cost_last_only = serializers.DecimalField(14, 2, help_text="The same through the last channel only.")
    currency = serializers.CharField()
    exact = serializers.BooleanField(help_text="False: scaled from a sample.")
    blockers = FindingSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())


class MoveSerializer(serializers.Serializer[Any]):
    """What became of it."""

    status = serializers.ChoiceField(choices=CampaignStatus.choices)
    message = serializers.CharField()


class ReportStepSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    channel = serializers.IntegerField(source="channel_id")
    kind = serializers.CharField()
    entered = serializers.IntegerField()
    accepted = serializers.IntegerField()
    sent = serializers.IntegerField()
    delivered = serializers.IntegerField()
    read = serializers.IntegerField()
    clicked = serializers.IntegerField()
    replied = serializers.IntegerField()
    goal = serializers.IntegerField()
    unknown = serializers.IntegerField()
    reached = serializers.IntegerField()
    waiting = serializers.IntegerField()
    cost = serializers.DecimalField(14, 2)
    failed = serializers.DictField(child=serializers.IntegerField())
    skipped = serializers.DictField(child=serializers.IntegerField())


class ReportSerializer(serializers.Serializer[Any]):
    """The same figures as the report's page. `balanced` false would mean that somebody is unaccounted for."""

    status = serializers.ChoiceField(choices=CampaignStatus.choices)
    planned = serializers.IntegerField()
    open = serializers.IntegerField()
    outcomes = serializers.DictField(child=serializers.IntegerField())
    reasons = serializers.DictField(child=serializers.DictField(child=serializers.IntegerField()))
    balanced = serializers.BooleanField()
    steps = ReportStepSerializer(many=True)
    currency = serializers.CharField()
    cost = serializers.DecimalField(14, 2)
    alone_cost = serializers.DecimalField(14, 2, help_text="The same through one channel only.")
    alone_channel = serializers.CharField()
    doubles = serializers.IntegerField()
    doubles_cost = serializers.DecimalField(14, 2)
    unknown = serializers.IntegerField()
    made_at = serializers.DateTimeField()


class RecipientSerializer(serializers.Serializer[Any]):
    """One person of a campaign."""

    message = serializers.IntegerField(source="delivery_id", help_text="Ask /messages/{id}/timeline why.")
    recipient = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()
    outcome = serializers.CharField(help_text="Empty while it is open.")
    reason = serializers.CharField()
    step = serializers.IntegerField(allow_null=True)
    channel = serializers.CharField()
    milestone = serializers.CharField()
    cost = serializers.DecimalField(14, 4)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    flags = serializers.ListField(child=serializers.CharField())


class RecipientsSerializer(serializers.Serializer[Any]):
    results = RecipientSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Send it as `after` for the next page.")
