"""Middleware of the ground: the visitor's true address, the page's content policy."""

from collections.abc import Callable

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse


class RealAddressMiddleware:
    """Puts the visitor's address into REMOTE_ADDR when trusted proxies stand in front.

    With TRUSTED_PROXY_COUNT = n the n-th entry of X-Forwarded-For from the right was written
    by our own outermost proxy; everything left of it was written by the visitor and may be a
    lie. With 0 the header is ignored. Login throttling counts by this address.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request with REMOTE_ADDR corrected in place."""
        count = settings.TRUSTED_PROXY_COUNT
        if count:
            chain = request.headers.get("X-Forwarded-For", "").split(",")
            if len(chain) >= count and chain[-count].strip():
                request.META["REMOTE_ADDR"] = chain[-count].strip()
        return self.get_response(request)


class NoNullMiddleware:
    """Refuses a NUL in the address of an admin page: PostgreSQL takes none in a text, and a filter or a search would
    end in a server error. Forms refuse it by themselves; providers' callbacks are stored as bytes and stay as they are.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request. Raises BadRequest, which Django answers with 400.html."""
        asked = f"{request.path_info}?{request.META.get('QUERY_STRING', '')}"
        if ("%00" in asked or "\0" in asked) and request.path_info.startswith(reverse("admin:index")):
            raise BadRequest("NUL in the address")
        return self.get_response(request)


class ContentPolicyMiddleware(CSPMiddleware):
    """The strict policy everywhere, the one Unfold needs under the admin's address."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        """Return the policy for this path; a view may still narrow it with csp's decorators."""
        parts = super().get_policy_parts(request, response, report_only)
        if parts.config is None and request.path_info.startswith(reverse("admin:index")):
            parts.config = settings.ADMIN_CONTENT_SECURITY_POLICY
        return parts
