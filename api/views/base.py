"""What every view of the API has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.utils.translation import gettext as _
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from api.authentication import KeyAuthentication, ScopePermission
from api.errors import Conflict, Problem
from api.models import ApiKey, Scope
from api.services import idempotency
from api.throttles import KeyThrottle, StrangerThrottle


class ApiViewSet(GenericViewSet[Any]):
    """Keys, scopes, limits."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (ScopePermission,)
    throttle_classes = (StrangerThrottle, KeyThrottle)
    #: Of "read", "write" and of single actions by name.
    scopes: ClassVar[Mapping[str, Scope | None]]
    lookup_value_regex = r"[0-9]{1,18}"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """DRF counts only who got in; a wrong key must be counted too, or keys could be guessed for nothing."""
        try:
            super().initial(request, *args, **kwargs)
        except (exceptions.AuthenticationFailed, exceptions.NotAuthenticated):
            self.check_throttles(request)
            raise

    @property
    def key(self) -> ApiKey:
        """The key of this request."""
        assert isinstance(self.request.auth, ApiKey)  # noqa: S101 - the permission has seen to it
        return self.request.auth


def once(request: Request, key: ApiKey, work: Callable[[], Response], *, required: bool = False) -> Response:
    """Do the work once for an Idempotency-Key; a repetition gets the same answer, marked Idempotent-Replayed.

    Raises Problem: 400 when the header is missing although required or too long, 422 for another request under the same
    key, 409 while the first one is at work. Without the header the work is simply done.
    """
    name = request.headers.get("Idempotency-Key", "")
    if not name:
        if required:
            raise Problem(
                status.HTTP_400_BAD_REQUEST,
                "idempotency_key_missing",
                _("Send an Idempotency-Key: with it, a request repeated after a lost answer sends nothing twice."),
            )
        return work()
    if len(name) > 255 or not name.isprintable():
        raise Problem(
            status.HTTP_400_BAD_REQUEST, "idempotency_key_bad", _("An Idempotency-Key has up to 255 characters.")
        )
    mark = idempotency.fingerprint(request.method or "", request.get_full_path(), request.body)
    try:
        turn = idempotency.begin(key, name, mark)
    except idempotency.AnotherRequestError:
        raise Problem(
            status.HTTP_422_UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            _("This Idempotency-Key was used for another request. Take a new one."),
        ) from None
    except idempotency.AtWorkError:
        raise Conflict(
            "idempotency_key_in_use", _("The first request with this key is still at work. Ask again in a moment.")
        ) from None
    if turn.status is not None:
        return Response(turn.body, status=turn.status, headers={"Idempotent-Replayed": "true"})
    try:
        with transaction.atomic():
            answer = work()
            idempotency.keep(turn, answer.status_code, answer.data)
    except BaseException:
        idempotency.forget(turn)
        raise
    return answer
