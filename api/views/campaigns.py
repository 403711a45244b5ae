"""Campaigns: prepare, look, launch, watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.selectors import campaign_report
from api.errors import Conflict
from api.models import Scope
from api.serializers.campaigns import (
    CampaignSerializer,
    MoveSerializer,
    PreflightSerializer,
    RecipientsSerializer,
    ReportSerializer,
)
from api.views.base import ApiViewSet, once
from campaigns.models import Campaign, CampaignStatus
from campaigns.services import lifecycle, preflight
from campaigns.services.lifecycle import Move
from campaigns.services.readiness import Finding, blockers
from deliveries.models import OutcomeChoices
from deliveries.selectors import Wanted, recipients_page

_OUTCOMES = ["open", "double", "unknown", *OutcomeChoices.values]


class Campaigns(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ApiViewSet,
):
    """A mass sending. Made as a draft; `preflight` shows what it would do; `launch` does it."""

    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    scopes = {
        "read": Scope.CAMPAIGNS_READ,
        "write": Scope.CAMPAIGNS_WRITE,
        "launch": Scope.CAMPAIGNS_LAUNCH,
        "unschedule": Scope.CAMPAIGNS_LAUNCH,
        "pause": Scope.CAMPAIGNS_LAUNCH,
        "resume": Scope.CAMPAIGNS_LAUNCH,
        "cancel": Scope.CAMPAIGNS_LAUNCH,
    }
    serializer_class = CampaignSerializer
    queryset = Campaign.objects.prefetch_related("lists", "tags", "exclude_lists", "exclude_tags")

    @extend_schema(responses={201: CampaignSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a draft. With an Idempotency-Key a repetition makes no second one."""
        return once(request, self.key, lambda: super(Campaigns, self).create(request, *args, **kwargs))

    @transaction.atomic
    def perform_update(self, serializer: Any) -> None:
        """Under the row's lock: a launch that comes between must not be edited."""
        current = Campaign.objects.select_for_update().get(pk=serializer.instance.pk)
        _draft_only(current)
        serializer.save()

    @transaction.atomic
    def perform_destroy(self, instance: Campaign) -> None:
        _draft_only(Campaign.objects.select_for_update().get(pk=instance.pk))
        instance.delete()

    @extend_schema(responses=PreflightSerializer)
    @action(detail=True, methods=["get"])
    def preflight(self, request: Request, pk: str) -> Response:
        """Whom it would reach, what it would cost, what forbids the launch and what is risky."""
        campaign = self.get_object()
        found = preflight.run(campaign)
        shown = {
            **{name: getattr(found, name) for name in ("audience", "groups", "steps", "currency", "exact")},
            **{name: getattr(found, name) for name in ("cost_from", "cost_to", "cost_last_only")},
            "blockers": [_finding(one) for one in blockers(campaign)],
            "warnings": [one.text() for one in found.warnings],
        }
        return Response(PreflightSerializer(shown).data)

    @extend_schema(request=None, responses=MoveSerializer)
    @action(detail=True, methods=["post"])
    def launch(self, request: Request, pk: str) -> Response:
        """Start it, or put it down for its `scheduled_at`. A second launch starts nothing twice: 409 says how it stands."""
        return _moved(lifecycle.launch, self.get_object())

    @extend_schema(request=None, responses=MoveSerializer)
    @action(detail=True, methods=["post"])
    def unschedule(self, request: Request, pk: str) -> Response:
        """Make a scheduled campaign a draft again."""
        return _moved(lifecycle.unschedule, self.get_object())

    @extend_schema(request=None, responses=MoveSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Nothing begins after the answer. Receipts keep coming in, clocks stand still."""
        return _moved(lifecycle.pause, self.get_object())

    @extend_schema(request=None, responses=MoveSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on where it stopped."""
        return _moved(lifecycle.resume, self.get_object())

    @extend_schema(request=None, responses=MoveSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End it for good: nothing more is sent."""
        return _moved(lifecycle.cancel, self.get_object())

    @extend_schema(responses=ReportSerializer)
    @action(detail=True, methods=["get"])
    def report(self, request: Request, pk: str) -> Response:
        """Who was reached by what, and what it cost. Of a running campaign at most seconds old."""
        return Response(ReportSerializer(campaign_report(self.get_object().pk)).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("outcome", OpenApiTypes.STR, enum=_OUTCOMES),
            OpenApiParameter("after", OpenApiTypes.STR, description="`next` of the page before."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="Up to 500; 50 if not given."),
        ],
        responses=RecipientsSerializer,
    )
    @action(detail=True, methods=["get"])
    def recipients(self, request: Request, pk: str) -> Response:
        """Everybody of the campaign with outcome, reason and cost."""
        asked = request.query_params
        outcome, limit = asked.get("outcome", ""), asked.get("limit", "50")
        if outcome and outcome not in _OUTCOMES:
            raise ValidationError({"outcome": [_("There is no such outcome.")]})
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:4]) <= 500):
            raise ValidationError({"limit": [_("A number from 1 to 500.")]})
        page, following = recipients_page(
            self.get_object().pk, Wanted(outcome=outcome), asked.get("after", ""), int(limit)
        )
        return Response(RecipientsSerializer({"results": page, "next": following or None}).data)


def _draft_only(campaign: Campaign) -> None:
    if campaign.status != CampaignStatus.DRAFT:
        raise Conflict(
            "not_a_draft",
            _("Only a draft can be changed; this campaign is: %(status)s.") % {"status": campaign.get_status_display()},
            campaign_status=campaign.status,
        )


def _moved(move: Callable[[int], Move], campaign: Campaign) -> Response:
    done = move(campaign.pk)
    if not done:
        found = [_finding(one) for one in done.blockers]
        raise Conflict("not_possible_now", done.message, campaign_status=str(done.status), blockers=found)
    return Response({"status": str(done.status), "message": done.message})


def _finding(one: Finding) -> dict[str, Any]:
    return {"message": one.text(), "object": one.mend.value.partition("_")[2], "id": one.pk}
