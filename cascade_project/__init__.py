"""The project: settings, processes, URLs. Knows every app; no app knows it.

The Celery app is imported here so that `@shared_task` binds to it in every process that
imports Django's settings, the web included: a hint sent by the web must use our broker.
"""

from cascade_project.celery import app as celery_app

__all__ = ["celery_app"]
