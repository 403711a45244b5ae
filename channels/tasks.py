"""Thin entry points for beat."""

from celery import shared_task

from channels.services import checks


@shared_task(name="channels.ask_balances")
def ask_balances() -> None:
    """Every ten minutes: how much money is left on each account."""
    checks.ask_balances()
