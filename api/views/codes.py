"""One-time codes."""

from __future__ import annotations

import math
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict, Problem
from api.models import Scope
from api.serializers.codes import CodeCheckSerializer, CodeCreateSerializer, CodeSerializer, CodeVerdictSerializer
from api.views.base import ApiViewSet
from channels.services.accounts import AccountError
from deliveries.models import CodeRules
from deliveries.services import codes
from deliveries.services.codes import NotIssued, Refusal, Verdict
from deliveries.tasks import hint_after_commit

_WAIT = {Refusal.TOO_SOON, Refusal.TOO_MANY, Refusal.BUSY}


class Codes(ApiViewSet):
    """Prove that a phone is a person's. Limits are those of the rules, made in the admin."""

    scopes = {"write": Scope.CODES_USE}
    serializer_class = CodeSerializer
    queryset: Any = CodeRules.objects.none()
    pagination_class = None

    @extend_schema(request=CodeCreateSerializer, responses={201: CodeSerializer})
    def create(self, request: Request) -> Response:
        """Send a code. An open one for this phone ends. 429 with Retry-After when it is too soon or too often."""
        sent = CodeCreateSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        try:
            issued = codes.issue(sent.validated_data["phone"], sent.validated_data["rules"])
        except CodeRules.DoesNotExist:
            raise ValidationError({"rules": [_("There are no such rules.")]}) from None
        except AccountError as error:
            raise Conflict("chain_not_ready", _(error.message) % error.params) from None
        if isinstance(issued, NotIssued):
            raise _refused(issued)
        hint_after_commit([issued.delivery_id])
        shown = {
            "token": issued.token,
            "message": issued.delivery_id,
            "expires_at": issued.expires_at,
            "ask_again_after": math.ceil(issued.next_after.total_seconds()),
        }
        return Response(CodeSerializer(shown).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=CodeCheckSerializer, responses=CodeVerdictSerializer)
    @action(detail=False, methods=["post"])
    def verify(self, request: Request) -> Response:
        """Check what the person entered. Each question costs a try."""
        sent = CodeCheckSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        verdict = codes.verify(sent.validated_data["token"], sent.validated_data["code"])
        if verdict is Verdict.UNKNOWN:
            raise NotFound
        return Response({"verdict": verdict.value, "ok": verdict is Verdict.ENTERED})


def _refused(answer: NotIssued) -> Problem:
    if answer.why not in _WAIT:
        return Conflict(answer.why.value, _("This phone gets no codes."))
    problem = Problem(
        status.HTTP_429_TOO_MANY_REQUESTS,
        answer.why.value,
        _("Too many codes were asked for. Wait before the next one."),
    )
    problem.wait = answer.wait.total_seconds() if answer.wait else 60  # type: ignore[attr-defined]
    return problem
