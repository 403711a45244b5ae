"""Who asks: a key in `Authorization: Bearer csc_...`, never a session (so no CSRF, no cookies)."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from api.models import ApiKey, Scope
from api.services import keys


class KeyAuthentication(BaseAuthentication):
    """request.auth becomes the ApiKey."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        """None without the header (the permission then answers 401). Raises AuthenticationFailed."""
        header = get_authorization_header(request).split()
        if not header:
            return None
        if len(header) != 2 or header[0].lower() != b"bearer":
            raise AuthenticationFailed(_("Send the key as: Authorization: Bearer csc_..."), code="key_malformed")
        key = keys.find(header[1].decode("latin-1"))
        if key is None:
            raise AuthenticationFailed(_("This key is unknown, revoked or expired."), code="key_invalid")
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


class ScopePermission(BasePermission):
    """A view names the scope of each method in `scopes` ("*": any other); one it does not name is refused."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the key has the scope this method needs. Sets `message` with the missing one."""
        if not isinstance(request.auth, ApiKey):
            return False
        needed = scope_of(view, request.method or "")
        if needed is None or needed in request.auth.scopes:
            return True
        self.message = _("The key lacks the permission %(scope)s.") % {"scope": needed}
        self.code = "scope_missing"
        return False


def scope_of(view: APIView, method: str) -> Scope | None:
    """The scope a method of a view needs; None: any valid key will do. Raises KeyError for a method nobody named."""
    action = getattr(view, "action", None)
    scopes: Mapping[str, Scope | None] = view.scopes  # type: ignore[attr-defined]
    if action is not None and action in scopes:
        return scopes[action]
    return scopes["read" if method in {"GET", "HEAD", "OPTIONS"} else "write"]
