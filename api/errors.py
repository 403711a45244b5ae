"""Every error in one shape: application/problem+json (RFC 9457), in the caller's language (Accept-Language)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error
from rest_framework.views import set_rollback

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


class Problem(exceptions.APIException):
    """An error of ours with a code of its own. `extra` members are added to the answer."""

    def __init__(self, status_code: int, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail, code)
        self.status_code = status_code
        self.extra = extra


class Conflict(Problem):
    """409: what is asked for contradicts how things stand."""

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(status.HTTP_409_CONFLICT, code, detail, **extra)


_TITLES = {
    400: gettext_lazy("The request is wrong"),
    401: gettext_lazy("No valid key"),
    403: gettext_lazy("Not allowed"),
    404: gettext_lazy("Not found"),
    405: gettext_lazy("Not possible here"),
    406: gettext_lazy("No such format"),
    409: gettext_lazy("Contradicts how things stand"),
    413: gettext_lazy("Too large"),
    415: gettext_lazy("Send JSON"),
    422: gettext_lazy("The request does not fit its Idempotency-Key"),
    429: gettext_lazy("Too many requests"),
}


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler. None: not an answer but a fault of ours, which Django logs and answers with 500."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": str(_TITLES.get(error.status_code, _("Error"))),
        "status": error.status_code,
    }
    if isinstance(error, exceptions.ValidationError):
        body |= {"code": "invalid", "detail": _("Some fields are wrong."), "errors": list(_faults(error.detail))}
    else:
        body |= {"code": error.get_codes(), "detail": str(error.detail)}
    if isinstance(error, Problem):
        body |= error.extra
    headers = {}
    if auth := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = auth
    if (wait := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    return Response(body, status=error.status_code, headers=headers, content_type=CONTENT_TYPE)


def _faults(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Flatten DRF's tree: {"field": "steps.0.wait", "code": ..., "message": ...} for each fault."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            here = path if name in ("non_field_errors", "__all__") else f"{path}.{name}" if path else str(name)
            yield from _faults(inner, here)
    elif isinstance(detail, Sequence) and not isinstance(detail, str):
        many = any(isinstance(one, Mapping) for one in detail)
        for index, inner in enumerate(detail):
            if inner:  # rows without a fault are empty
                yield from _faults(inner, f"{path}.{index}" if many and path else str(index) if many else path)
    else:
        yield {"field": path, "code": getattr(detail, "code", "invalid"), "message": str(detail)}


def as_validation(error: Exception) -> exceptions.ValidationError:
    """Django's own validation error as one of the API's."""
    return exceptions.ValidationError(as_serializer_error(error))  # type: ignore[arg-type]
