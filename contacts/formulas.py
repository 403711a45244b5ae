"""Text that a spreadsheet could take for a formula: made harmless on the way out, itself again on the way in.

A cell that begins with a formula's sign gets an apostrophe in front, which spreadsheets take as "this is text"
(ASVS 1.2.10); a text that really begins with an apostrophe gets a second one. So every file we write can be read back
to the same values, also after somebody opened and saved it.
"""

#: What a spreadsheet may take for a formula, their full-width twins and characters that hide one included.
DANGEROUS = tuple("=+-@\t\r\n\0＝＋－＠")


def escape(value: str) -> str:
    """Return the text as it may stand in a cell of a CSV file."""
    return f"'{value}" if value.startswith((*DANGEROUS, "'")) else value


def unescape(value: str) -> str:
    """Undo `escape`; any other text comes back as it is."""
    return value[1:] if value.startswith("'") and value[1:].startswith((*DANGEROUS, "'")) else value
