"""Webhooks."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from api.models import Scope
from api.serializers.webhooks import (
    NewWebhookSerializer,
    ReplayedSerializer,
    ReplaySerializer,
    WebhookCallSerializer,
    WebhookSerializer,
)
from api.views.base import ApiViewSet
from deliveries.models import HookEndpoint, HookEvent
from deliveries.services import outbox


class Webhooks(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ApiViewSet,
):
    """Addresses of yours that are told what happens."""

    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    scopes = {"read": Scope.WEBHOOKS_READ, "write": Scope.WEBHOOKS_WRITE}
    serializer_class = WebhookSerializer
    queryset = HookEndpoint.objects.all()

    @extend_schema(request=WebhookSerializer, responses={201: NewWebhookSerializer})
    def create(self, request: Request) -> Response:
        """Make one. Keep the secret of the answer: it is shown once."""
        sent = self.get_serializer(data=request.data)
        sent.is_valid(raise_exception=True)
        said = sent.validated_data
        row, secret = outbox.make_endpoint(said["name"], said["url"], said["events"])
        row.secret = secret  # type: ignore[attr-defined]
        return Response(NewWebhookSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=WebhookCallSerializer(many=True))
    @action(detail=True, methods=["get"], serializer_class=WebhookCallSerializer)
    def calls(self, request: Request, pk: str) -> Response:
        """What was told, newest first, with the answers."""
        page: Any = self.paginate_queryset(HookEvent.objects.filter(endpoint=self.get_object()))
        return self.get_paginated_response(WebhookCallSerializer(page, many=True).data)

    @extend_schema(request=ReplaySerializer, responses=ReplayedSerializer)
    @action(detail=True, methods=["post"], serializer_class=ReplaySerializer)
    def replay(self, request: Request, pk: str) -> Response:
        """Tell again what happened since a moment, heard or not. The calls keep their `webhook-id`."""
        sent = ReplaySerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        return Response({"calls": outbox.send_again(self.get_object().pk, sent.validated_data["since"])})
