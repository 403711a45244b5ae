"""The control API: how a test, the demo or a person tells the emulated world what to do. JSON in, JSON out.

POST /_emulator/rules            one rule or {"rules": [...]}; see make_rule()
POST /_emulator/accounts         {"provider": "smsc", "account": "*", "balance": "100.00", "price": "4.80", ...}
POST /_emulator/callback_target  {"provider": "green", "account": "*", "url": "http://...", "secret": "..."}
POST /_emulator/inbound          {"provider": "telegram", "recipient": "1001", "text": "СТОП"} (or "button": "c:1")
POST /_emulator/block            {"provider": "telegram", "recipient": "1001", "blocked": true}
POST /_emulator/status           {"provider": "green", "recipient": "79..", "status": "delivered"} now, for the last message
POST /_emulator/receipt          {"provider": "smsc", "recipient": "79..", "id": "77", "status": "delivered"} for any id at all
POST /_emulator/letter           {"mailbox": "hello@shop.example", "letter": "From: ..."}; {"mailbox", "renumber": true}
POST /_emulator/faults           {"provider": "*", "fault": "reset" | "close", "times": 3}: at the sight of the head
POST /_emulator/kill             {"pids": [..], "point": "complete", "every": 10, "times": 5}
POST /_emulator/reset            forget everything but the journal
GET  /_emulator/journal?since=N  {"records": [...], "last": n}, at most 10,000
GET  /_emulator/stats            counters
GET  /_emulator/ready            {"ok": true}
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from emulator.world import Message, Rule, World, make_behaviour, plain

if TYPE_CHECKING:
    from emulator.http import Request

PAGE = 10_000


class Control:
    def __init__(self, world: World) -> None:
        self._world = world

    def handle(self, request: Request, path: str) -> None:
        """Answers 400 with the reason for what is not understood: a test must not go on with a wrong world."""
        name = path.strip("/")
        handler = getattr(self, f"{request.method.lower()}_{name}", None)
        if handler is None:
            request.reply_json({"error": f"no {request.method} /_emulator/{name}"}, 404)
            return
        try:
            answer = handler(request)
        except (KeyError, ValueError, TypeError, ArithmeticError) as error:
            request.reply_json({"error": f"{type(error).__name__}: {error}"}, 400)
            return
        if request.method == "POST":
            self._world.journal.write("control", what=name, bytes=len(request.body))
        request.reply_json({"ok": True} if answer is None else answer)

    def post_rules(self, request: Request) -> dict[str, Any]:
        body = request.json()
        rules = body.get("rules", [body])
        count = sum(self.add_rule(rule) for rule in rules)
        return {"ok": True, "recipients": count}

    def add_rule(self, rule: dict[str, Any]) -> int:
        """One rule; returns how many recipients it is for.

        provider: smsc, telegram, green, smtp or * (default). recipient / recipients: exact; neither: the default for
        everybody. behaviour: a name from behaviours.py; and/or steps [{"after", "status", "text"}], answer, delay,
        repeat, early. times: only for so many sends (then the next rule counts). price: of one part.
        {"digits": false}: the last two digits mean nothing any more.
        """
        if "digits" in rule:
            self._world.use_digits = bool(rule["digits"])
            if rule.keys() <= {"digits"}:
                return 0
        provider = str(rule.get("provider", "*"))
        recipients = [str(r) for r in rule.get("recipients", [])]
        if rule.get("recipient") is not None:
            recipients.append(str(rule["recipient"]))
        price = rule.get("price")
        times = rule.get("times")
        behaviour = make_behaviour(rule)

        def make() -> Rule:
            return Rule(behaviour, None if times is None else int(times), None if price is None else _money(price))

        if not recipients:
            _put(self._world.defaults[provider], make())
        for recipient in recipients:
            _put(self._world.rules[provider, plain(recipient)], make())
        return len(recipients)

    def post_accounts(self, request: Request) -> None:
        body = request.json()
        provider, name = str(body.pop("provider")), str(body.pop("account", "*"))
        self._world.set_account(provider, name, **body)

    def post_callback_target(self, request: Request) -> None:
        body = request.json()
        self._world.set_account(
            str(body["provider"]),
            str(body.get("account", "*")),
            callback_url=str(body["url"]),
            callback_secret=str(body.get("secret", "")),
            callback_style=str(body.get("style", "")),
        )

    def _account(self, body: dict[str, Any]) -> Any:
        """The account of a person's last message, or the one that is named, or the only one there is."""
        provider, recipient = str(body["provider"]), plain(str(body["recipient"]))
        message = self._world.last_message.get((provider, recipient))
        if "account" in body:
            return self._world.account(provider, str(body["account"])), message
        if message is not None:
            return message.account, message
        known = [account for (p, name), account in self._world.accounts.items() if p == provider and name != "*"]
        return (known[0] if len(known) == 1 else self._world.account(provider, "*")), None

    def post_inbound(self, request: Request) -> None:
        body = request.json()
        account, message = self._account(body)
        self._world.spawn(
            self._world.person(
                account.provider,
                account,
                plain(str(body["recipient"])),
                str(body.get("text", "")),
                message,
                str(body.get("button", "")),
            )
        )

    def post_block(self, request: Request) -> None:
        body = request.json()
        account, _ = self._account(body)
        self._world.spawn(
            self._world.block(account.provider, account, plain(str(body["recipient"])), bool(body.get("blocked", True)))
        )

    def post_status(self, request: Request) -> None:
        body = request.json()
        _, message = self._account(body)
        if message is None:
            raise ValueError("nothing was sent to this recipient")
        self._world.tell(message, str(body["status"]), str(body.get("text", "")), float(body.get("after", 0)))

    def post_receipt(self, request: Request) -> None:
        body = request.json()
        name, recipient = str(body["provider"]), plain(str(body["recipient"]))
        account = self._account(body)[0]
        message = Message(name, account, recipient, "", "", str(body["id"]), make_behaviour({}))
        hook = self._world.providers[name].receipt(message, str(body["status"]))
        if hook is None:
            raise ValueError(f"{name} has no receipts")
        self._world.spawn(self._world.post(account, hook, recipient, message.id, str(body["status"])))

    def post_letter(self, request: Request) -> None:
        body = request.json()
        box = self._world.mailboxes.box(str(body["mailbox"]))
        if body.get("renumber"):
            box.validity += 1
        else:
            box.letters.append(str(body["letter"]).encode())

    def post_faults(self, request: Request) -> None:
        body = request.json()
        fault = {
            "provider": str(body.get("provider", "*")),
            "fault": str(body["fault"]),
            "times": int(body.get("times", 1)),
        }
        if fault["fault"] not in {"reset", "close"}:
            raise ValueError("fault must be reset or close")
        self._world.faults.append(fault)

    def post_kill(self, request: Request) -> None:
        body = request.json()
        if body.get("off"):
            self._world.kill_rules.clear()
            return
        self._world.add_kill(body)

    def post_reset(self, request: Request) -> None:
        self._world.reset()

    def get_journal(self, request: Request) -> dict[str, Any]:
        since = int(request.fields().get("since", "0"))
        kind = request.fields().get("kind")
        found = [r for r in self._world.journal.kept if r["n"] > since and kind in {None, r["kind"]}][:PAGE]
        return {"records": found, "last": found[-1]["n"] if found else since}

    def get_stats(self, request: Request) -> dict[str, Any]:
        return {"stats": dict(self._world.stats), "messages": len(self._world.messages), "last": self._world.journal.n}

    def get_ready(self, request: Request) -> dict[str, Any]:
        return {"ok": True}


def _put(rules: list[Rule], rule: Rule) -> None:
    """A rule for some sends waits its turn behind the earlier ones; a rule for ever replaces the one before it."""
    if rule.times is None and rules and rules[-1].times is None:
        rules[-1] = rule
    elif rule.times is not None and rules and rules[-1].times is None:
        rules.insert(len(rules) - 1, rule)
    else:
        rules.append(rule)


def _money(value: Any) -> Decimal:
    return Decimal(str(value))
