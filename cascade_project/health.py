"""Liveness for proxies and containers."""

import logging

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 when pages can be served, 503 when the database is away.

    Redis is not asked: the pages work without it, and a balancer that took the web away
    because of the broker would make one outage into two.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        logger.exception("health check: the database does not answer")
        return JsonResponse({"database": "away"}, status=503)
    return JsonResponse({"database": "ok"})
