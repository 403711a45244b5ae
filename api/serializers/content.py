"""Channels, chains, templates: what is said and through what."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers.fields import SecondsField, VariablesField
from channels.models import Chain, ChainStep, Channel, ExpectChoices, TroublePolicyChoices
from channels.providers.registry import slugs
from channels.services.accounts import AccountError
from channels.services.chains import Level, Rung, validate_chain
from templates_app.links import LinkError
from templates_app.models import KindChoices, MessageTemplate, TemplateVariant
from templates_app.rendering import TemplateError
from templates_app.services import validate_text


class ChannelSerializer(serializers.ModelSerializer[Channel]):
    """A sending account. `config` is write-only: secrets are never shown."""

    provider = serializers.ChoiceField(choices=[])
    config = VariablesField(
        write_only=True, required=False, help_text="The provider's own fields; empty secrets are kept."
    )
    health = serializers.SerializerMethodField()
    balance = serializers.SerializerMethodField()

    class Meta:
        model = Channel
        fields = (
            "id",
            "name",
            "provider",
            "kind",
            "enabled",
            "price",
            "currency",
            "charged_on",
            "rate",
            "config",
            "health",
            "balance",
            "created_at",
        )
        read_only_fields = ("id", "kind", "created_at")
        extra_kwargs = {"rate": {"required": False, "max_value": 1000.0}, "currency": {"min_length": 3}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["provider"].choices = slugs()  # type: ignore[attr-defined]

    @extend_schema_field({"type": "string", "enum": ["works", "trouble", "off"]})
    def get_health(self, channel: Channel) -> str:
        """`works`, `trouble` of the account, or switched `off`."""
        if not channel.enabled:
            return "off"
        state = getattr(channel, "state", None)
        return "trouble" if state is not None and state.breaker == "open" else "works"

    @extend_schema_field({"type": "string", "nullable": True, "format": "decimal"})
    def get_balance(self, channel: Channel) -> str | None:
        """What the provider said last."""
        state = getattr(channel, "state", None)
        return None if state is None or state.balance is None else str(state.balance)


class StepSerializer(serializers.ModelSerializer[ChainStep]):
    """“Through this channel, and wait so many seconds for this.”"""

    expect = serializers.ChoiceField(choices=ExpectChoices.choices, allow_blank=True, default="delivered")
    wait = SecondsField()
    then_expect = serializers.ChoiceField(choices=ExpectChoices.choices, allow_blank=True, required=False)
    then_wait = SecondsField(required=False, allow_null=True)
    min_wait = SecondsField(required=False)

    class Meta:
        model = ChainStep
        fields = (
            "channel",
            "reserve",
            "second_reserve",
            "expect",
            "wait",
            "then_expect",
            "then_wait",
            "min_wait",
            "only_tag",
        )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        then, wait = attrs.get("then_expect"), attrs.get("then_wait")
        if bool(then) != bool(wait):
            raise serializers.ValidationError({"then_wait": [_("A second wait has both a milestone and a time.")]})
        if then and then == attrs.get("expect"):
            raise serializers.ValidationError({"then_expect": [_("This is what the step waits for already.")]})
        if then and not attrs.get("expect"):
            raise serializers.ValidationError({"then_expect": [_("Choose first what the step waits for.")]})
        if attrs.get("second_reserve") and not attrs.get("reserve"):
            raise serializers.ValidationError(
                {"second_reserve": [_("Name the first reserve account before the second.")]}
            )
        return attrs


class ChainSerializer(serializers.ModelSerializer[Chain]):
    """An order of channels. Refused where it could not work, with the step; `warnings` say what is risky."""

    on_trouble = serializers.ChoiceField(choices=TroublePolicyChoices.choices, allow_blank=True, required=False)
    steps = StepSerializer(many=True, allow_empty=False, max_length=20)  # type: ignore[call-arg]
    warnings = serializers.SerializerMethodField()

    class Meta:
        model = Chain
        fields = ("id", "name", "on_trouble", "dialogue_days", "steps", "warnings", "created_at")
        read_only_fields = ("id", "created_at")

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_warnings(self, chain: Chain) -> list[str]:
        """In the caller's language."""
        rungs = [Rung.of(step) for step in chain.steps.all()]
        problems = validate_chain(rungs, any_first=bool(chain.dialogue_days))
        return [one.text() for one in problems if one.level is Level.WARNING]

    def validate_steps(self, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            problems = validate_chain([Rung.of(ChainStep(**step)) for step in steps])
        except AccountError as error:
            raise serializers.ValidationError(_(error.message) % error.params) from None
        faults: list[dict[str, list[str]]] = [{} for _step in steps]
        for problem in problems:
            if problem.level is Level.ERROR and problem.step is not None:
                faults[problem.step].setdefault(problem.field or "channel", []).append(problem.text())
        if any(faults):
            raise serializers.ValidationError(faults)  # type: ignore[arg-type]
        return steps

    @transaction.atomic
    def create(self, validated_data: dict[str, Any]) -> Chain:
        steps = validated_data.pop("steps")
        chain = Chain.objects.create(**validated_data)
        _write_steps(chain, steps)
        return chain

    @transaction.atomic
    def update(self, instance: Chain, validated_data: dict[str, Any]) -> Chain:
        """Steps are replaced as a whole. Running cascades carry a copy of their own and are not touched."""
        steps = validated_data.pop("steps", None)
        chain = super().update(instance, validated_data)
        if steps is not None:
            for step in chain.steps.all():
                step.delete()
            _write_steps(chain, steps)
        return Chain.objects.prefetch_related("steps__channel", "steps__reserve", "steps__second_reserve").get(
            pk=chain.pk
        )


def _write_steps(chain: Chain, steps: list[dict[str, Any]]) -> None:
    for order, step in enumerate(steps):
        # One by one: the owner's history is written by save().
        ChainStep.objects.create(chain=chain, order=order, **step)


class VariantSerializer(serializers.ModelSerializer[TemplateVariant]):
    """The same message for one channel kind; what is empty is inherited."""

    kind = serializers.ChoiceField(choices=KindChoices.choices)
    text = serializers.CharField(required=False, allow_blank=True, max_length=10_000)

    class Meta:
        model = TemplateVariant
        fields = ("kind", "text", "subject", "button")


class TemplateSerializer(serializers.ModelSerializer[MessageTemplate]):
    """A text with variables: {name}, {name|friend}; variants per channel kind."""

    text = serializers.CharField(max_length=10_000)
    variants = VariantSerializer(many=True, required=False, max_length=len(KindChoices.choices))  # type: ignore[call-arg]

    class Meta:
        model = MessageTemplate
        fields = ("id", "name", "text", "subject", "button", "link", "variants", "created_at", "updated_at")
        read_only_fields = ("id", "created_at", "updated_at")

    def validate_variants(self, variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kinds = [one["kind"] for one in variants]
        if len(set(kinds)) < len(kinds):
            raise serializers.ValidationError(_("One variant for each channel kind."))
        return variants

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        has_link = bool(attrs.get("link", self.instance.link if self.instance is not None else ""))
        _check_texts(attrs, has_link)
        for index, variant in enumerate(attrs.get("variants") or []):
            _check_texts(variant, has_link, f"variants.{index}.")
        return attrs

    @transaction.atomic
    def create(self, validated_data: dict[str, Any]) -> MessageTemplate:
        variants = validated_data.pop("variants", [])
        template = MessageTemplate.objects.create(**validated_data)
        for variant in variants:
            TemplateVariant.objects.create(template=template, **variant)
        return template

    @transaction.atomic
    def update(self, instance: MessageTemplate, validated_data: dict[str, Any]) -> MessageTemplate:
        """Variants, if sent, are replaced as a whole."""
        variants = validated_data.pop("variants", None)
        template = super().update(instance, validated_data)
        if variants is not None:
            for old in template.variants.all():
                old.delete()
            for variant in variants:
                TemplateVariant.objects.create(template=template, **variant)
        return MessageTemplate.objects.prefetch_related("variants").get(pk=template.pk)


def _check_texts(values: dict[str, Any], has_link: bool, where: str = "") -> None:
    for name in ("text", "subject", "button"):
        if not values.get(name):
            continue
        try:
            validate_text(values[name], None, has_link=has_link)
        except (TemplateError, LinkError) as error:
            message = _(error.message) % error.params
            raise serializers.ValidationError({f"{where}{name}": [message]}) from None
