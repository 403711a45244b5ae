"""Channels, chains, templates."""

from __future__ import annotations

from typing import Any, get_type_hints

from django.db.models import ProtectedError
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict
from api.models import Scope
from api.serializers.content import ChainSerializer, ChannelSerializer, TemplateSerializer
from api.views.base import ApiViewSet
from channels.models import Chain, Channel
from channels.providers.registry import provider_class
from channels.services import accounts, checks
from templates_app.models import MessageTemplate

_SCOPES = {"read": Scope.CHANNELS_READ, "write": Scope.CHANNELS_WRITE}
_VERDICT = inline_serializer(
    "Verdict", {"ok": serializers.BooleanField(), "message": serializers.CharField(help_text="What to do, in words.")}
)


class Channels(mixins.ListModelMixin, mixins.RetrieveModelMixin, ApiViewSet):
    """Sending accounts."""

    scopes = _SCOPES
    serializer_class = ChannelSerializer
    queryset = Channel.objects.select_related("state")

    @extend_schema(responses={201: ChannelSerializer})
    def create(self, request: Request) -> Response:
        """Connect an account. Nothing is sent; ask `check` afterwards."""
        sent = self.get_serializer(data=request.data)
        sent.is_valid(raise_exception=True)
        values = dict(sent.validated_data)
        config, slug = values.pop("config", {}), values.pop("provider")
        _check_config(slug, config)
        channel = accounts.create_channel(slug, values.pop("name"), config, **values)
        return Response(self.get_serializer(channel).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change an account; secrets that are not sent stay."""
        channel: Channel = self.get_object()
        sent = self.get_serializer(channel, data=request.data, partial=True)
        sent.is_valid(raise_exception=True)
        values = dict(sent.validated_data)
        config = values.pop("config", None)
        if values.pop("provider", channel.provider) != channel.provider:
            raise ValidationError({"provider": [_("The provider of an account cannot change. Connect a new one.")]})
        for name, value in values.items():
            setattr(channel, name, value)
        if config is not None:
            _check_config(channel.provider, {**accounts.get_config(channel), **config})
            accounts.set_config(channel, config)
        channel.save()
        return Response(self.get_serializer(channel).data)

    @extend_schema(request=None, responses=_VERDICT)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str) -> Response:
        """Ask the provider whether the account works. Sends nothing to anybody."""
        verdict = checks.self_test(self.get_object())
        return Response({"ok": verdict.ok, "message": verdict.text()})


class Chains(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ApiViewSet,
):
    """Chains: which channel, how long, for what, and then the next."""

    scopes = _SCOPES
    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    serializer_class = ChainSerializer
    queryset = Chain.objects.prefetch_related("steps__channel", "steps__reserve", "steps__second_reserve")

    def perform_destroy(self, instance: Any) -> None:
        _destroy(instance)


class Templates(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ApiViewSet,
):
    """Texts with variables."""

    scopes = _SCOPES
    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    serializer_class = TemplateSerializer
    queryset = MessageTemplate.objects.prefetch_related("variants")

    def perform_destroy(self, instance: Any) -> None:
        _destroy(instance)


def _destroy(row: Any) -> None:
    try:
        row.delete()
    except ProtectedError:
        raise Conflict("in_use", _("It is in use and cannot be deleted.")) from None


def _check_config(slug: str, config: dict[str, Any]) -> None:
    """Raises ValidationError for settings the adapter cannot live with."""
    hints = get_type_hints(provider_class(slug).Config)
    for name, value in config.items():
        wanted = hints.get(name)
        if wanted is None:
            raise ValidationError({f"config.{name}": [_("This provider has no such field.")]})
        if not isinstance(value, (int, float) if wanted is float else wanted) or (
            isinstance(value, bool) and wanted is not bool
        ):
            raise ValidationError({f"config.{name}": [_("The value is of the wrong type.")]})
    try:
        adapter = accounts.build_adapter(slug, config)
    except accounts.AccountError as error:
        raise ValidationError({"config": [_(error.message) % error.params]}) from None
    except ValueError as error:
        raise ValidationError({"config": [_("These settings cannot work: %(reason)s") % {"reason": error}]}) from None
    if problem := adapter.problem():
        raise ValidationError({"config": [_(problem)]})
