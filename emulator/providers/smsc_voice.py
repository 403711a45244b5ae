"""SMSC.ru's robot calls as the fact sheet of 2026-11-22 tells them (section 1.6): send.php with call=1. Mounted at
/smsc_voice.

Which status a call ends with that nobody took, and the name of the field with the pressed key, the sheet does not know:
here they are figures and a word of our own, as an owner sets his account up with SMSC's.
"""

from __future__ import annotations

from emulator.http import Request
from emulator.providers.smsc import ERRS, STATUSES, Smsc
from emulator.world import Account, Message

#: Seconds of conversation by how the call went.
SECONDS = {"delivered": 14, "read": 14, "short": 2, "key": 9}
KEY = "word-key"


class SmscVoice(Smsc):
    name = "smsc_voice"
    statuses = STATUSES | {"busy": 20, "no_answer": 3, "short": 1, "key": 1}
    errs = ERRS | {"no_answer": 6}

    def _send(self, request: Request, account: Account, fields: dict[str, str]) -> None:
        tries = fields.get("param", "").split(",")
        if fields.get("call") != "1" or len(tries) != 3:
            # Without `param` the original redials five times on its own.
            self.world.other(self.name, "a call that would be repeated", request)
            request.reply_json({"error": "parameters error", "error_code": 1})
            return
        self.world.other(self.name, f"tries {tries[2]}", request)
        super()._send(request, account, fields)

    def more(self, message: Message, status: str) -> dict[str, object]:
        told: dict[str, object] = {"cnt": SECONDS.get(status, 0)} if status in SECONDS else {}
        return told | ({KEY: "1"} if status == "key" else {})
