"""One file per wire format; server.py finds them here."""

from emulator.providers.base import HttpProvider
from emulator.providers.green import Green
from emulator.providers.smsc import Smsc
from emulator.providers.telegram import Telegram

#: Path prefix -> class. A new HTTP provider is one file and one line.
HTTP: dict[str, type[HttpProvider]] = {"smsc": Smsc, "telegram": Telegram, "green": Green}

__all__ = ["HTTP", "Green", "Smsc", "Telegram"]
