"""Everything that changes contacts. Pages, commands and tasks call these; these call none of them."""
