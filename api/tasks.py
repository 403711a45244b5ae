"""The API's tick."""

from __future__ import annotations

import logging

from celery import shared_task

from api.services import idempotency

logger = logging.getLogger(__name__)


@shared_task(name="api.forget")
def forget() -> None:
    """Delete answers nobody will ask for again."""
    logger.info("%d old answers of the API deleted", idempotency.forget_old())
