"""Thin entry points for beat."""

from celery import shared_task

from channels.services import approved, checks


@shared_task(name="channels.ask_balances")
def ask_balances() -> None:
    """Every ten minutes: how much money is left on each account."""
    checks.ask_balances()


@shared_task(name="channels.sync_templates")
def sync_templates() -> None:
    """Every quarter of an hour: which texts messengers have approved, paused or disabled."""
    approved.sync_all()
