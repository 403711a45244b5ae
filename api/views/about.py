"""What a key is."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.models import ApiKey
from api.views.base import ApiViewSet


class MeSerializer(serializers.ModelSerializer[ApiKey]):
    """This key."""

    class Meta:
        model = ApiKey
        fields = ("name", "prefix", "scopes", "expires_at", "created_at")
        read_only_fields = fields


class Me(ApiViewSet):
    """The key itself: a first request that proves it works."""

    scopes = {"read": None}
    serializer_class = MeSerializer
    queryset: Any = ApiKey.objects.none()
    pagination_class = None

    @extend_schema(responses=MeSerializer, operation_id="me")
    def show(self, request: Request) -> Response:
        """What this key is and may do."""
        return Response(MeSerializer(self.key).data)
