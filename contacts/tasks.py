"""Thin: the work is in contacts.services. Everything here may run twice, late, or never (the tick finds it)."""

from __future__ import annotations

from celery import shared_task

from contacts.services import imports, reachability

#: Longer than the largest import we promise (reliability.md B7: ten minutes), shorter than the broker's visibility
#: timeout of an hour, past which the message would be given to a second worker.
IMPORT_LIMIT_S = 55 * 60


@shared_task(name="contacts.import_file", soft_time_limit=IMPORT_LIMIT_S, time_limit=IMPORT_LIMIT_S + 60)
def import_file(job_id: int) -> None:
    """Check or import one file, whatever its row asks for."""
    imports.work(job_id)


@shared_task(name="contacts.import_resume")
def import_resume() -> None:
    """Tick: find the imports whose worker is gone, wake somebody for each; tidy up."""
    for job_id in imports.resume_stale():
        import_file.delay(job_id)
    imports.forget_old()
    reachability.forget_expired()
