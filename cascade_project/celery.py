"""The Celery app: hands, not memory.

PostgreSQL is the queue and the timer. A message in Redis carries ids and says "look now";
losing all of them costs seconds, because the beat ticks ask the database again. Two things
follow and live here: a failed publish is a log line and not an error, and a worker's database
connection outlives its tasks but is checked before each.
"""

import logging
import os
from typing import Any

from celery import Celery
from celery.contrib.django.task import DjangoTask
from celery.result import AsyncResult
from celery.signals import setup_logging, task_prerun
from django.db import close_old_connections
from kombu.exceptions import OperationalError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cascade_project.settings")

logger = logging.getLogger(__name__)


class HintTask(DjangoTask):
    """A task whose message may get lost."""

    def apply_async(self, *args: Any, **kwargs: Any) -> "AsyncResult[Any]":  # type: ignore[override]
        """Publish the hint; log when the broker is away. The result is never read by anybody.

        A page that has just saved the owner's work must not fail, or tell them it failed,
        because a hint could not be sent: the next tick finds the row by itself.
        """
        try:
            return super().apply_async(*args, **kwargs)
        except OperationalError:
            logger.warning("broker is away, %s is left to the next tick", self.name)
            return self.AsyncResult(kwargs.get("task_id") or "unsent")


app = Celery("cascade", task_cls=HintTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def refresh_connections(**_: Any) -> None:
    """Drop connections that are too old or broken, as Django does before a web request.

    Without this a worker that went through a restart of PostgreSQL would fail every task on
    its dead connection, because CELERY_DB_REUSE_MAX keeps Celery from ever closing it.
    """
    close_old_connections()


@setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Receiving this signal is what stops Celery from installing handlers without redaction."""
