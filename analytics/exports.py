"""The report as an XLSX file: a sheet of figures, then everybody.

Constant memory whatever the campaign: recipients are read in pages and each row goes to disk as it is written. Texts are
written as text and those that begin like a formula, phones among them, carry XLSX's own mark for "this is text"
(contacts.formulas): no spreadsheet computes them, also when the file is saved as CSV and opened again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import xlsxwriter
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from analytics.presentation import ReportView, outcome_label
from contacts.formulas import DANGEROUS, escape
from deliveries.selectors import Recipient
from deliveries.words import milestone_label, reason_label

#: Rows of one sheet; Excel ends at 1,048,576.
SHEET = 1_000_000


class _Words(NamedTuple):
    """Codes into words, remembered for one file in one language."""

    outcome: Callable[[str, str], str]
    reason: Callable[[str], str]
    milestone: Callable[[str], str]


def write_report(view: ReportView, people: Iterable[Recipient], target: Any) -> None:
    """Write the workbook into a binary file object. `people` is consumed row by row."""
    book = xlsxwriter.Workbook(
        target, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    formats = {
        "text": book.add_format({"quote_prefix": True}),
        "head": book.add_format({"bold": True, "text_wrap": True, "valign": "top"}),
        "money": book.add_format({"num_format": "#,##0.00"}),
        "share": book.add_format({"num_format": "0.0"}),
        "moment": book.add_format({"num_format": "dd.mm.yyyy hh:mm:ss"}),
    }
    _summary(book.add_worksheet(_("Summary")), view, formats)
    _people(book, people, formats)
    book.close()


def _summary(sheet: Any, view: ReportView, formats: dict[str, Any]) -> None:
    report = view.report
    sheet.set_column(0, 0, 42)
    sheet.set_column(1, 14, 14)
    rows: list[list[Any]] = [
        [_("Campaign"), report.name],
        [_("Status"), view.status],
        [_("As of"), report.made_at],
        [_("Currency"), report.currency],
        [_("Planned"), report.planned],
        [_("In work"), report.open],
        [_("Cost"), report.cost],
    ]
    if view.comparable:
        rows += [
            [_("The last channel alone: %(channel)s") % {"channel": report.alone_channel}, report.alone_cost],
            [_("Saved"), report.saved],
            [_("Saved, percent"), report.saved_percent],
        ]
    rows += [
        [_("Reached twice"), report.doubles],
        [_("Cost of those reached twice"), report.doubles_cost],
        [_("Of it for nothing"), report.doubles_waste],
        [_("Outcome unknown"), report.unknown],
        [],
        [_("Outcome"), _("Reason"), _("People")],
    ]
    for outcome in view.outcomes:
        rows.append([outcome.label, "", outcome.people])
        rows += [["", share.label, share.people] for share in outcome.reasons]
    rows += [
        [],
        [
            _("Step"), _("Called"), _("Accepted"), _("Delivered"), _("Read"), _("Followed the link"), _("Replied"),
            _("Target action"), _("Reached"), _("Outcome unknown"), _("In work"), _("Cost"),
        ],
    ]  # fmt: skip
    for one in view.steps:
        step = one.step
        rows.append(
            [
                f"{step.number}. {one.name}", step.entered, step.accepted, step.delivered, step.read, step.clicked,
                step.replied, step.goal, step.reached, step.unknown, step.waiting, step.cost,
            ]
        )  # fmt: skip
    rows += [[], [_("Step"), _("Left because"), _("After a call"), _("Without a call")]]
    for one in view.steps:
        name = f"{one.step.number}. {one.name}"
        rows += [[name, share.label, share.people, 0] for share in one.failed]
        rows += [[name, share.label, 0, share.people] for share in one.skipped]
    for number, row in enumerate(rows):
        _write(sheet, number, row, formats)


def _people(book: Any, people: Iterable[Recipient], formats: dict[str, Any]) -> None:
    """As many sheets as are needed; always one, even without anybody."""
    # Each word is made once and not once a row: of a dozen words, each a translation, 100,000 rows would make a million.
    say = _Words(*(lru_cache(make) for make in (outcome_label, reason_label, milestone_label)))
    sheet, row = None, SHEET
    for number, one in enumerate(people):
        if row >= SHEET:
            sheet, row = _people_sheet(book, number // SHEET, formats), 1
        _write(sheet, row, _recipient(one, say), formats)
        row += 1
    if sheet is None:
        _people_sheet(book, 0, formats)


def _people_sheet(book: Any, number: int, formats: dict[str, Any]) -> Any:
    title = _("Recipients")
    sheet = book.add_worksheet(f"{title} {number + 1}" if number else title)
    widths = (20, 20, 20, 28, 8, 24, 20, 12, 10, 20, 20, 20, 12)
    for column, width in enumerate(widths):
        sheet.set_column(column, column, width)
    sheet.freeze_panes(1, 0)
    heads = (
        _("Recipient"), _("Name"), _("Outcome"), _("Reason"), _("Step"), _("Channel"), _("What came of it"), _("Cost"),
        _("SMS parts"), _("Created"), _("Finished"), _("Marks"), _("Delivery"),
    )  # fmt: skip
    for column, head in enumerate(heads):
        sheet.write_string(0, column, head, formats["head"])
    return sheet


def _recipient(one: Recipient, say: _Words) -> list[Any]:
    marks = {"double": _("reached twice"), "unknown": _("outcome of a step unknown")}
    return [
        one.recipient,
        one.name,
        say.outcome(one.outcome, one.state),
        say.reason(one.reason),
        one.step,
        one.channel,
        say.milestone(one.milestone),
        one.cost,
        one.parts,
        one.created_at,
        one.finished_at,
        ", ".join(marks[flag] for flag in one.flags),
        one.delivery_id,
    ]


def _write(sheet: Any, row: int, values: Iterable[Any], formats: dict[str, Any]) -> None:
    for column, value in enumerate(values):
        match value:
            case None | "":
                continue
            case datetime():
                sheet.write_datetime(row, column, localtime(value).replace(tzinfo=None), formats["moment"])
            case Decimal():
                sheet.write_number(row, column, value, formats["money"])
            case int():
                sheet.write_number(row, column, value)
            case _:
                text = str(value)
                if text.startswith(DANGEROUS):
                    sheet.write_string(row, column, text, formats["text"])
                else:
                    sheet.write_string(row, column, escape(text))
