"""Amounts as an owner reads them. One place, so that a report and its preview never differ by a space."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from django.utils.formats import number_format
from django.utils.translation import gettext as _

KOPECK = Decimal("0.01")


def rounded(amount: Decimal) -> Decimal:
    """To the kopeck, halves up as in every invoice. Sums are made of exact figures and rounded once, here."""
    return amount.quantize(KOPECK, ROUND_HALF_UP)


def say_amount(amount: Decimal) -> str:
    """“8 226,60”, grouped and with the decimal sign of the language of the moment."""
    return number_format(rounded(amount), 2, force_grouping=True)


def say_money(amount: Decimal, currency: str = "RUB") -> str:
    """“8 226,60 руб.”; other currencies by their code."""
    if currency == "RUB":
        return _("%(amount)s RUB") % {"amount": say_amount(amount)}
    return f"{say_amount(amount)}\N{NO-BREAK SPACE}{currency}"
