"""Why a row was refused or what was changed in it: codes for the database, sentences for people.

Codes are stored (staging rows, kept rejects) and translated when shown, so that wording can improve without
touching history. Each sentence ends with what to do next where there is something to do.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class Reason(StrEnum):
    """Reject reasons and warnings of reading phones and rows."""

    # phones
    PHONE_EMPTY = "phone_empty"
    PHONE_NOT_A_NUMBER = "phone_not_a_number"
    PHONE_LOSSY = "phone_lossy"
    PHONE_LENGTH = "phone_length"
    PHONE_LETTERS = "phone_letters"
    PHONE_EXTENSION = "phone_extension"
    PHONE_INVALID = "phone_invalid"
    PHONE_LANDLINE = "phone_landline"
    PHONE_SECOND = "phone_second"
    # rows
    NO_ADDRESS = "no_address"
    EMAIL_INVALID = "email_invalid"
    ROW_LONGER = "row_longer"
    ROW_SHORTER = "row_shorter"
    CELL_TOO_LONG = "cell_too_long"
    CUT = "cut"
    CONTROL_CHARACTERS = "control_characters"
    BIRTHDAY_UNREADABLE = "birthday_unreadable"
    ZONE_UNKNOWN = "zone_unknown"
    CONSENT_UNREADABLE = "consent_unreadable"
    ERROR_CELL = "error_cell"
    STOP_LIST = "stop_list"
    CONSENT_KEPT_WITHDRAWN = "consent_kept_withdrawn"
    MERGED = "merged"


TEXTS: dict[Reason, StrPromise] = {
    Reason.PHONE_EMPTY: _("The phone is empty."),
    Reason.PHONE_NOT_A_NUMBER: _("This is not a phone number."),
    Reason.PHONE_LOSSY: _(
        "The spreadsheet has shortened the number and its last digits are lost. "
        "Make the column a text column in the source and save it again."
    ),
    Reason.PHONE_LENGTH: _(
        "A digit is missing or too many: a Russian number has 10 digits after 8 or +7. "
        "Write a foreign number with + and the country code."
    ),
    Reason.PHONE_LETTERS: _("There are letters among the digits (the letter О instead of zero?)."),
    Reason.PHONE_EXTENSION: _("A number with an extension cannot receive messages. Give a direct number."),
    Reason.PHONE_INVALID: _("There is no such number: check the code and the number of digits."),
    Reason.PHONE_LANDLINE: _("A landline: text messages will not arrive there."),
    Reason.PHONE_SECOND: _("There are several numbers in the cell: the first valid one was taken."),
    Reason.NO_ADDRESS: _("There is neither a phone nor an e-mail in the row."),
    Reason.EMAIL_INVALID: _("This is not an e-mail address."),
    Reason.ROW_LONGER: _(
        "The row has more cells than there are columns: its values may have slipped. "
        "Check the separators and quotes in this row."
    ),
    Reason.ROW_SHORTER: _("The row has fewer cells than there are columns; the missing ones count as empty."),
    Reason.CELL_TOO_LONG: _("The cell is longer than 100,000 characters."),
    Reason.CUT: _("The value was longer than its limit and was cut."),
    Reason.CONTROL_CHARACTERS: _("Invisible control characters were removed."),
    Reason.BIRTHDAY_UNREADABLE: _("The date of birth cannot be read and was left out. Write it as 31.12.1990."),
    Reason.ZONE_UNKNOWN: _("There is no such time zone; it was left out. Write it as Europe/Moscow or +3."),
    Reason.CONSENT_UNREADABLE: _("The consent cell is neither yes nor no: no consent was recorded."),
    Reason.ERROR_CELL: _("The spreadsheet shows an error in this cell; it counts as empty."),
    Reason.STOP_LIST: _("The address is on the stop-list: the contact is kept but will not be written to."),
    Reason.CONSENT_KEPT_WITHDRAWN: _("The person has withdrawn consent; a file cannot give it back."),
    Reason.MERGED: _("The same person is in the file more than once: the rows were merged."),
}


def text(code: str) -> str:
    """Return the sentence for a stored code; an unknown code is shown as it is (it came from a newer version)."""
    try:
        return str(TEXTS[Reason(code)])
    except (ValueError, KeyError):
        return code
