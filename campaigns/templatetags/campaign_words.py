"""Numbers and money in templates, by the same functions as everywhere."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template
from django.utils.formats import number_format

from campaigns.money import say_money

register = template.Library()


@register.filter
def money(amount: Decimal | None, currency: str = "RUB") -> str:
    """“8 226,60 руб.”; "" for None."""
    return "" if amount is None else say_money(Decimal(amount), currency)


@register.filter
def grouped(number: Any) -> str:
    """“2 103”."""
    return number_format(number, force_grouping=True)
