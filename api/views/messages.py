"""Single messages, their stories, goals."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict
from api.models import Scope
from api.serializers.messages import GoalSerializer, LineSerializer, MessageCreateSerializer, MessageSerializer
from api.views.base import ApiViewSet, once
from cascade.vocabulary import Purpose
from contacts.services import cards
from deliveries.models import Delivery
from deliveries.selectors import timeline
from deliveries.services import single
from deliveries.tasks import hint_after_commit

_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    required=True,
    description="Up to 255 characters, your own (an order's number, a UUID). The same request with the same key is done once.",
)


class Messages(mixins.ListModelMixin, mixins.RetrieveModelMixin, ApiViewSet):
    """One cascade to one person, and how it went."""

    scopes = {"read": Scope.MESSAGES_READ, "write": Scope.MESSAGES_SEND}
    serializer_class = MessageSerializer
    queryset = Delivery.objects.prefetch_related("attempts__channel")

    @extend_schema(parameters=[OpenApiParameter("contact", OpenApiTypes.INT, description="Id of a contact.")])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Messages, newest first; those of campaigns too."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if contact := self.request.query_params.get("contact", ""):
            if not (contact.isascii() and contact.isdigit() and len(contact) < 19):
                raise ValidationError({"contact": [_("The id of a contact is a number.")]})
            queryset = queryset.filter(contact_id=int(contact))
        return queryset

    @extend_schema(
        parameters=[_KEY], request=MessageCreateSerializer, responses={201: MessageSerializer, 200: MessageSerializer}
    )
    def create(self, request: Request) -> Response:
        """Begin a cascade. 201; repeated under the same Idempotency-Key: the same answer, and nothing is sent twice."""
        return once(request, self.key, lambda: self._create(request), required=True)

    def _create(self, request: Request) -> Response:
        sent = MessageCreateSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        asked = sent.validated_data
        contact = asked.get("contact")
        if contact is None:
            contact, _new = cards.upsert({name: asked[name] for name in ("phone", "email", "name") if asked.get(name)})
        try:
            delivery_id, new = single.send(
                contact.pk,
                asked["chain"],
                asked["template"],
                Purpose(asked["purpose"]),
                # The engine's own guard below the stored answer: also after that has been forgotten (R14).
                dedup_key=f"api:{self.key.pk}:{request.headers['Idempotency-Key']}"[:200],
                variables=asked.get("variables"),
                not_after=asked.get("not_after"),
            )
        except single.NotReadyError as error:
            raise Conflict("chain_not_ready", _("The chain cannot send now."), problems=error.problems) from None
        hint_after_commit([delivery_id])
        delivery = self.get_queryset().get(pk=delivery_id)
        code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        return Response(MessageSerializer(delivery).data, status=code)

    @extend_schema(responses=LineSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None)
    def timeline(self, request: Request, pk: str) -> Response:
        """Why each step happened and what it cost, in sentences, oldest first."""
        return Response(LineSerializer(timeline(self.get_object().pk), many=True).data)

    @extend_schema(request=None, responses=MessageSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Send nothing more. 409 when it has ended already."""
        delivery = self.get_object()
        with transaction.atomic():
            if not single.cancel(delivery.pk):
                raise Conflict("has_ended", _("The message has ended already: there is nothing to stop."))
            hint_after_commit([delivery.pk])
        return Response(MessageSerializer(self.get_queryset().get(pk=delivery.pk)).data)

    @extend_schema(request=GoalSerializer, responses=MessageSerializer)
    @action(detail=True, methods=["post"], serializer_class=GoalSerializer)
    def goal(self, request: Request, pk: str) -> Response:
        """The target action happened (paid, confirmed, came): the cascade ends with it. Safe to repeat."""
        delivery = self.get_object()
        sent = GoalSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        at = sent.validated_data.get("at", now())
        if at > now():
            raise ValidationError({"at": [_("A goal cannot be reached in the future.")]})
        single.reach_goal(delivery.pk, at)
        hint_after_commit([delivery.pk])
        return Response(MessageSerializer(self.get_queryset().get(pk=delivery.pk)).data)
