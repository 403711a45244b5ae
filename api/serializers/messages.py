"""Single messages: one cascade to one person."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.timezone import now
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers.fields import EmailField, PhoneField, VariablesField
from channels.models import Chain
from contacts.models import Contact, PurposeChoices
from deliveries.models import Attempt, Delivery, DeliveryState, OutcomeChoices
from templates_app.models import MessageTemplate


class MessageCreateSerializer(serializers.Serializer[Any]):
    """To whom, what, through which chain. Give `contact`, or `phone`, or `email`: who has no card gets one."""

    contact = serializers.PrimaryKeyRelatedField(queryset=Contact.objects.all(), required=False)
    phone = PhoneField(required=False)
    email = EmailField(required=False)
    name = serializers.CharField(required=False, max_length=200, help_text="For a new card.")
    chain = serializers.PrimaryKeyRelatedField(queryset=Chain.objects.all())
    template = serializers.PrimaryKeyRelatedField(queryset=MessageTemplate.objects.prefetch_related("variants"))
    purpose = serializers.ChoiceField(
        choices=PurposeChoices.choices,
        default=PurposeChoices.SERVICE.value,
        help_text="`marketing` goes only to people with consent.",
    )
    variables = VariablesField(required=False)
    not_after = serializers.DateTimeField(required=False, help_text="After this moment nothing is sent any more.")

    def validate_not_after(self, value: Any) -> Any:
        if value <= now():
            raise serializers.ValidationError(_("This moment has passed."))
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum(name in attrs for name in ("contact", "phone", "email")) != 1:
            raise serializers.ValidationError(_("Give exactly one of contact, phone and email."))
        return attrs


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One call to one provider. Moments are NULL until they have come."""

    step = serializers.SerializerMethodField()
    channel_name = serializers.CharField(source="channel.name", read_only=True)

    class Meta:
        model = Attempt
        fields = (
            "step",
            "try_no",
            "channel",
            "channel_name",
            "address",
            "state",
            "called_at",
            "accepted_at",
            "sent_at",
            "delivered_at",
            "read_at",
            "clicked_at",
            "replied_at",
            "goal_at",
            "failed_at",
            "failure",
            "reason",
            "detail",
            "parts",
            "cost",
        )
        read_only_fields = fields

    def get_step(self, attempt: Attempt) -> int:
        """From 1."""
        return attempt.step + 1


class MessageSerializer(serializers.ModelSerializer[Delivery]):
    """How far it is. `outcome` is empty while it is on its way."""

    campaign: Any = serializers.PrimaryKeyRelatedField(read_only=True, allow_null=True)
    state = serializers.ChoiceField(choices=DeliveryState.choices, read_only=True)
    outcome = serializers.ChoiceField(choices=OutcomeChoices.choices, read_only=True, allow_blank=True)
    step = serializers.SerializerMethodField()
    attempts = serializers.SerializerMethodField()
    cost = serializers.SerializerMethodField()

    class Meta:
        model = Delivery
        fields = (
            "id",
            "contact",
            "campaign",
            "state",
            "step",
            "wait_reason",
            "due_at",
            "outcome",
            "outcome_reason",
            "outcome_milestone",
            "is_double",
            "has_unknown",
            "cost",
            "attempts",
            "not_after",
            "created_at",
            "finished_at",
        )
        read_only_fields = fields

    def get_step(self, delivery: Delivery) -> int:
        """From 1: where it stands, or what reached the person."""
        return (delivery.outcome_step if delivery.outcome_step is not None else delivery.step) + 1

    @extend_schema_field(AttemptSerializer(many=True))
    def get_attempts(self, delivery: Delivery) -> list[dict[str, Any]]:
        """In the order of the calls."""
        rows = sorted(delivery.attempts.all(), key=lambda one: (one.called_at, one.pk))
        return list(AttemptSerializer(rows, many=True).data)

    @extend_schema_field({"type": "string", "format": "decimal"})
    def get_cost(self, delivery: Delivery) -> str:
        """Booked so far."""
        return f"{sum((one.cost for one in delivery.attempts.all() if one.cost is not None), Decimal(0)):.4f}"


class LineSerializer(serializers.Serializer[Any]):
    """One sentence of the story, in the caller's language."""

    at = serializers.DateTimeField()
    text = serializers.CharField()
    step = serializers.IntegerField(allow_null=True)
    cost = serializers.CharField(allow_blank=True)
    detail = serializers.CharField(allow_blank=True)


class GoalSerializer(serializers.Serializer[Any]):
    """The target action happened: paid, confirmed, came."""

    at = serializers.DateTimeField(required=False, help_text="Now if not given.")
