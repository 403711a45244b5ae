"""How often a key, or somebody without one, may ask.

Counted in Redis, because there are several web processes. A Redis that is down lets everybody in: a limit protects
the machine, and an API that fails with its limiter protects nobody.
"""

from __future__ import annotations

import logging

from django.core.cache import caches
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from api.models import ApiKey

logger = logging.getLogger(__name__)


class _Shared(SimpleRateThrottle):
    cache = caches["shared"]

    def allow_request(self, request: Request, view: APIView) -> bool:
        """False above the rate. Side effect: counts this request."""
        try:
            return super().allow_request(request, view)
        except RedisError as error:
            logger.warning("the API's limiter cannot count: %s", error)
            return True


class KeyThrottle(_Shared):
    """By key."""

    scope = "key"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        """None for a request without a key: the other throttle counts it."""
        return f"api-key-{request.auth.pk}" if isinstance(request.auth, ApiKey) else None


class StrangerThrottle(_Shared):
    """By address, for those without a key: guessing keys must not cost the machine anything."""

    scope = "stranger"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        """None for a request with a key. REMOTE_ADDR is the visitor's own (RealAddressMiddleware)."""
        return None if isinstance(request.auth, ApiKey) else f"api-stranger-{request.META['REMOTE_ADDR']}"
