"""What is remembered: accounts, rules, messages, receipts, money. And what follows from a send.

One instance per process, used from the event loop only. Order of things for one send: rate and account state, then
the recipient's behaviour, journal, money, answer; receipts follow on timers and are posted in order, one message's
never overtaking each other.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.behaviours import BY_NAME, BYTES, DELIVERED, TAKEN, Behaviour, Step, by_digits
from emulator.http import Poster
from emulator.imap import Mailboxes
from emulator.journal import JournalWriter

if TYPE_CHECKING:
    from emulator.http import HttpConnection, Request
    from emulator.providers.base import Hook, HttpProvider, Reply

LINK = re.compile(r"https?://[^\s<>\"']+")
#: Receipts are tried this often; the pauses double from RETRY seconds.
TRIES = 6
RETRY = 0.5
#: What a rate-limited sender is told to wait, in seconds.
RETRY_AFTER = 2
#: Steps that are statuses of the message; the others are deeds of the person.
RECEIPTS = frozenset(
    {"sent", "delivered", "read", "failed", "expired", "not_registered", "busy", "no_answer", "short", "key"}
)
#: What else can happen to a letter: told in a letter, or a machine looks into it.
LETTERS = frozenset({"refused_as_spam", "delayed", "told_delivered", "complaint", "away", "scan"})


@dataclass(slots=True)
class Account:
    """One sending account as the provider sees it. `*` is the template for accounts nobody described."""

    provider: str
    name: str
    state: str = "ok"  #: ok, unauthorized, no_balance, or a provider's own word (green: notAuthorized, starting ...)
    balance: Decimal | None = None  #: None: never runs out
    price: Decimal = Decimal(0)
    charged_on: str = "accepted"
    rate: float = 0.0  #: sends a second; 0: no limit
    latency: float = 0.0  #: seconds before each answer
    callback_url: str = ""
    callback_secret: str = ""
    callback_style: str = ""  #: where a wire has several (smsc: form, json, get)
    honour_ttl: bool = False  #: a message past its time-to-live is not delivered
    poll_lag: float = 0.0  #: a status question does not find messages younger than this (seconds)
    tokens: float = 1.0
    tokens_at: float = 0.0
    closed_until: float = 0.0  #: end of the last Retry-After

    @property
    def left(self) -> Decimal:
        """What a question about the balance is answered."""
        if self.state == "no_balance":
            return Decimal(0)
        return Decimal("1000000.00") if self.balance is None else self.balance


@dataclass(slots=True)
class Message:
    """One message the provider has taken."""

    provider: str
    account: Account
    recipient: str
    ref: str
    text: str
    id: str
    behaviour: Behaviour
    buttons: tuple[str, ...] = ()
    ttl: float = 0.0
    one_click: str = ""  #: where the mail program posts to unsubscribe
    cost: Decimal = Decimal(0)
    parts: int = 1
    #: (moment, status) in the order they happened.
    history: list[tuple[float, str]] = field(default_factory=list)
    taken_at: float = 0.0
    recalled: bool = False
    charged: bool = False
    callback: str = ""
    #: Steps held back while the account is logged out.
    waiting: list[tuple[Step, float]] = field(default_factory=list)
    #: Callbacks on their way, in order; the first is being posted.
    outbox: deque[tuple[Hook, str]] = field(default_factory=deque)

    @property
    def status(self) -> str:
        return self.history[-1][1] if self.history else "accepted"


@dataclass(slots=True)
class Wanted:
    """One message of a send request, before anything is decided."""

    recipient: str
    text: str
    ref: str = ""
    buttons: tuple[str, ...] = ()
    ttl: float = 0.0
    parts: int = 1
    one_click: str = ""
    callback: str = ""  #: where the wire takes the address for receipts with every message


@dataclass(slots=True)
class Sending:
    """One send request: what the provider's answers are made from."""

    request: Request
    account: Account
    wanted: list[Wanted]
    behaviour: Behaviour
    extra: dict[str, Any]


@dataclass(slots=True)
class Rule:
    """A behaviour for one recipient, or for all of a provider; with `times`, for so many sends only."""

    behaviour: Behaviour
    times: int | None = None
    price: Decimal | None = None


class World:
    def __init__(
        self, journal: JournalWriter, *, speed: float = 1.0, clock: Callable[[], float], connections: int = 16
    ) -> None:
        self.journal = journal
        self.speed = speed
        self.clock = clock
        self.providers: dict[str, HttpProvider] = {}
        self._poster = Poster(connections)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._ids = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """Forget everything but the journal's file and its numbers."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for task in self._tasks:
            task.cancel()
        for provider in self.providers.values():
            provider.reset()
        self.accounts: dict[tuple[str, str], Account] = {}
        self.rules: dict[tuple[str, str], list[Rule]] = defaultdict(list)
        self.defaults: dict[str, list[Rule]] = defaultdict(list)
        self.use_digits = True
        self.mailboxes = Mailboxes()
        self.messages: dict[tuple[str, str, str], Message] = {}
        self.recipients: dict[tuple[str, str], str] = {}
        self.last_message: dict[tuple[str, str], Message] = {}
        self.blocked: set[tuple[str, str]] = set()
        self.faults: list[dict[str, Any]] = []
        self.kill_rules: list[dict[str, Any]] = []
        self.stats: Counter[str] = Counter()

    # ------------------------------------------------------------ accounts

    def account(self, provider: str, name: str) -> Account:
        """The account of this name; made from the provider's template when it is new."""
        found = self.accounts.get((provider, name))
        if found is None:
            template = self.accounts.get((provider, "*"))
            found = Account(provider, name)
            if template is not None:
                for key in _SETTABLE:
                    setattr(found, key, getattr(template, key))
            self.accounts[provider, name] = found
        return found

    def set_account(self, provider: str, name: str, **values: Any) -> None:
        """Change an account; `*` changes all of the provider, also those to come."""
        for key in values:
            if key not in _SETTABLE:
                raise ValueError(f"an account has no {key}")
        for key in {"balance", "price"} & values.keys():
            values[key] = None if values[key] is None else Decimal(str(values[key]))
        concerned = [self.account(provider, name)]
        if name == "*":
            concerned += [a for (p, _), a in self.accounts.items() if p == provider and a is not concerned[0]]
        for account in concerned:
            before = account.state
            for key, value in values.items():
                setattr(account, key, value)
            if before != account.state and account.state in {"ok", "authorized"}:
                self._release(account)

    def _release(self, account: Account) -> None:
        """A logged-out account is back: what it had queued goes out now (GREEN-API keeps it for a day)."""
        for message in list(self.messages.values()):
            if message.account is account and message.waiting:
                waiting, message.waiting = message.waiting, []
                for step, after in waiting:
                    self._later(after, message, step)

    # ------------------------------------------------------------ behaviours

    def behaviour(self, provider: str, recipient: str) -> tuple[Behaviour, Rule | None]:
        """What happens to a message for this recipient: exact rule, then digits, then the provider's default.

        Uses up one of a rule's `times`; peek() does not.
        """
        behaviour, rule = self.peek(provider, recipient)
        if rule is not None and rule.times is not None:
            rule.times -= 1
        return behaviour, rule

    def peek(self, provider: str, recipient: str) -> tuple[Behaviour, Rule | None]:
        """behaviour() without consequences."""
        for key in ((provider, recipient), ("*", recipient)):
            rule = _next(self.rules.get(key))
            if rule is not None:
                return rule.behaviour, rule
        if self.use_digits:
            found = by_digits(recipient)
            if found is not None:
                return found, None
        for key_default in (provider, "*"):
            rule = _next(self.defaults.get(key_default))
            if rule is not None:
                return rule.behaviour, rule
        return BY_NAME["delivered"], None

    # ------------------------------------------------------------ a send

    def take(
        self, request: Request, provider: HttpProvider, account: Account, wanted: list[Wanted], **extra: Any
    ) -> None:
        """Decide, write down, answer, and start what follows. The first recipient's behaviour answers for all."""
        name = provider.name
        behaviour, rule = self.behaviour(name, wanted[0].recipient)
        trouble = self._trouble(account, wanted, rule)
        if (name, wanted[0].recipient) in self.blocked and trouble is None:
            trouble = "blocked"
        answer = trouble or behaviour.answer
        taken = answer in TAKEN
        messages: list[Message] = []
        for one in wanted:
            its, its_rule = (behaviour, rule) if one is wanted[0] else self.behaviour(name, one.recipient)
            single = taken and (one is wanted[0] or its.answer in TAKEN)
            message = self.add_message(name, account, one, its, its_rule) if single else None
            request.number = self.journal.write(
                "request",
                provider=name,
                account=_masked(account.name),
                recipient=one.recipient,
                ref=one.ref,
                text=one.text,
                id=message.id if message else "",
                behaviour=its.name if trouble is None else trouble,
                accepted=single,
                peer=request.peer,
                ttl=one.ttl,
                **({"limited": True} if trouble == "rate_limited" else {}),
            )
            if message is not None:
                messages.append(message)
        self.stats[f"{name} requests"] += 1
        self.stats[f"{name} accepted"] += len(messages)
        sending = Sending(request, account, wanted, behaviour, extra)
        if self.kill_rules:
            self._kills(name, wanted[0].recipient, request, "complete")
        for message in messages:
            self._charge(message, "accepted")
        if behaviour.early and messages:
            self.spawn(self._early(sending, provider, messages))
            return
        if messages and self.kill_rules:
            self._kills(name, wanted[0].recipient, request, "accepted")
        pause = account.latency + behaviour.delay / self.speed
        if pause > 0:
            self.after(pause, self._answer, provider, sending, answer, messages, True)
        else:
            self._answer(provider, sending, answer, messages, False)
        for message in messages:
            self._play(message)

    def _trouble(self, account: Account, wanted: list[Wanted], rule: Rule | None) -> str | None:
        """Why the account itself refuses: rate, login, money."""
        if account.rate > 0 and not self._within_rate(account):
            return "rate_limited"
        if account.state in {"unauthorized", "no_balance"}:
            return account.state
        if account.balance is not None:
            price = rule.price if rule and rule.price is not None else account.price
            if account.balance < price * sum(one.parts for one in wanted):
                return "no_balance"
        return None

    def _within_rate(self, account: Account) -> bool:
        """A token bucket of one second's worth."""
        now = self.clock()
        size = max(1.0, account.rate)
        if account.tokens_at == 0.0:
            account.tokens = size
        else:
            account.tokens = min(size, account.tokens + (now - account.tokens_at) * account.rate)
        account.tokens_at = now
        inside = now < account.closed_until
        if account.tokens >= 1.0 and not inside:
            account.tokens -= 1.0
            return True
        self.journal.write("limited", provider=account.provider, account=_masked(account.name), inside=inside)
        self.stats[f"{account.provider} limited"] += 1
        if not inside:
            account.closed_until = now + RETRY_AFTER
        return False

    def add_message(
        self, provider: str, account: Account, one: Wanted, behaviour: Behaviour, rule: Rule | None
    ) -> Message:
        """Remember a message the provider has taken."""
        price = rule.price if rule and rule.price is not None else account.price
        message = Message(
            provider=provider,
            account=account,
            recipient=one.recipient,
            ref=one.ref,
            text=one.text,
            id=self.new_id(provider, one),
            behaviour=behaviour,
            buttons=one.buttons,
            ttl=one.ttl,
            one_click=one.one_click,
            cost=price * one.parts,
            parts=one.parts,
            taken_at=self.clock(),
            callback=one.callback,
        )
        self.messages[provider, message.id, one.recipient] = message
        self.recipients[provider, message.id] = one.recipient
        self.last_message[provider, one.recipient] = message
        return message

    def new_id(self, provider: str, one: Wanted) -> str:
        """Ids look as on the wire: SMSC repeats ours, Telegram counts, GREEN-API makes hexadecimal ones, SMS.RU two numbers."""
        number = next(self._ids)
        if provider in {"smsc", "smsc_voice"} and one.ref:
            return one.ref
        if provider.startswith("green"):
            return f"3EB0{number:016X}"
        if provider == "sms_ru":
            return f"000000-{10_000_000 + number}"
        return str(number)

    def _answer(
        self, provider: HttpProvider, sending: Sending, answer: str, messages: list[Message], waited: bool
    ) -> None:
        request = sending.request
        if waited or answer in BYTES:
            self.journal.write("answered", of=request.number, how=answer)
        if answer in BYTES:
            self._bytes(provider, sending, answer, messages)
        else:
            reply = provider.accepted(sending, messages) if answer == "accept" else provider.refusal(sending, answer)
            request.reply(reply.status, reply.body, reply.kind, reply.headers)
        if self.kill_rules:
            self._kills(provider.name, sending.wanted[0].recipient, request, "answered")

    def _bytes(self, provider: HttpProvider, sending: Sending, answer: str, messages: list[Message]) -> None:
        """Answers that are about bytes."""
        request = sending.request
        if answer in {"reset", "accept_reset"}:
            request.connection.reset()
        elif answer == "hang":
            self.after(60.0, request.connection.close)
        elif answer == "html":
            request.reply(200, b"<html><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>", "text/html")
        elif answer == "redirect":
            request.reply(302, b"", "text/html", "Location: http://169.254.169.254/latest/meta-data/\r\n")
        else:
            whole = provider.accepted(sending, messages)
            if answer == "truncated":
                request.reply(whole.status, whole.body[: len(whole.body) * 2 // 3], whole.kind)
            elif answer == "huge":
                request.reply(whole.status, whole.body + b" " * 10_000_000, whole.kind)
            else:
                self._drip(request, whole)

    def _drip(self, request: Request, whole: Reply) -> None:
        head = f"HTTP/1.1 {whole.status} OK\r\nContent-Type: {whole.kind}\r\nContent-Length: {len(whole.body)}\r\n\r\n"
        data = head.encode() + whole.body

        def drop(position: int) -> None:
            if position >= len(data) or request.connection.transport is None:
                request.connection.done()
                return
            request.connection.write(data[position : position + 1])
            self.after(1.0, drop, position + 1)

        drop(0)

    # ------------------------------------------------------------ what follows

    def after(self, seconds: float, do: Callable[..., object], *args: Any) -> None:
        """Like call_later, forgotten by reset()."""

        def run() -> None:
            self._timers.discard(handle)
            do(*args)

        handle = asyncio.get_running_loop().call_later(seconds, run)
        self._timers.add(handle)

    def _play(self, message: Message) -> None:
        """Start the timers of a message's behaviour."""
        held = message.account.state not in {"ok", "authorized"}
        for step in message.behaviour.steps:
            after = step.after / self.speed
            if held:
                message.waiting.append((step, after))
                continue
            dies = message.account.honour_ttl and 0 < message.ttl < step.after
            if dies and step.status in {"delivered", "read"}:
                self._later(message.ttl / self.speed, message, Step(message.ttl, "expired"))
                return
            self._later(after, message, step)

    def find(self, provider: str, message_id: str, recipient: str) -> Message | None:
        """The message a status question is about, unless it is too young to be known (Account.poll_lag)."""
        message = self.messages.get((provider, message_id, recipient))
        if message is not None and self.clock() - message.taken_at < message.account.poll_lag / self.speed:
            return None
        return message

    def find_by_id(self, provider: str, message_id: str) -> Message | None:
        """find() for a wire whose question names no recipient; its ids are never shared."""
        recipient = self.recipients.get((provider, message_id))
        return None if recipient is None else self.find(provider, message_id, recipient)

    def tell(self, message: Message, status: str, text: str = "", after: float = 0.0) -> None:
        """Something happens to a message because a test says so."""
        self._later(after / self.speed, message, Step(after, status, text))

    def _later(self, after: float, message: Message, step: Step) -> None:
        if after <= 0:
            self._happen(message, step)
        else:
            self.after(after, self._happen, message, step)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something beside; reset() ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _early(self, sending: Sending, provider: HttpProvider, messages: list[Message]) -> None:
        for message in messages:
            for step in message.behaviour.steps:
                for hook, status in self._hooks(message, step):
                    await self._post_about(message, hook, status)
        self._answer(provider, sending, sending.behaviour.answer, messages, True)

    def _happen(self, message: Message, step: Step) -> None:
        """One step of a message's story. What is to be told waits behind what this message told before."""
        if message.recalled and step.status not in {"click", "reply", "one_click"}:
            return
        if step.status == "click":
            self.spawn(self.follow(message))
            return
        if step.status == "one_click":
            self.spawn(self.unsubscribe(message))
            return
        hooks = self._hooks(message, step)
        if hooks and (message.account.callback_url or message.callback):
            running = bool(message.outbox)
            message.outbox.extend(hooks)
            if not running:
                self.spawn(self._tell(message))

    def _hooks(self, message: Message, step: Step) -> list[tuple[Hook, str]]:
        """What a step changes here, and the callbacks that tell it."""
        provider = self.providers[message.provider]
        hook: Hook | None = None
        repeat = 1
        if step.status in RECEIPTS | LETTERS:
            message.history.append((self.clock(), step.status))
            self._charge(message, step.status)
            hook = provider.receipt(message, step.status)
            repeat = message.behaviour.repeat
        elif step.status == "reply":
            hook = provider.inbound(message.account, message.recipient, step.text, message, "")
        elif step.status == "button":
            number = int(step.text or 0)
            payload = message.buttons[number] if number < len(message.buttons) else ""
            hook = provider.inbound(message.account, message.recipient, "", message, payload)
        elif step.status in {"block", "unblock"}:
            hook = self._blocked(message.provider, message.account, message.recipient, step.status == "block")
        return [(hook, step.status)] * repeat if hook is not None else []

    async def _tell(self, message: Message) -> None:
        while message.outbox:
            hook, status = message.outbox[0]
            await self._post_about(message, hook, status)
            message.outbox.popleft()

    async def _post_about(self, message: Message, hook: Hook, status: str) -> int:
        """Post to the account's address, or to the message's own; the query of the latter is kept in both cases.

        So a test may stand in for the public host a message names, as a name server would.
        """
        own, _, query = message.callback.partition("?")
        return await self.post(message.account, hook, message.recipient, message.id, status, own=own, query=query)

    async def person(
        self, name: str, account: Account, recipient: str, text: str, message: Message | None = None, button: str = ""
    ) -> int:
        """The person writes or presses; the status of the product's answer, 0 for none."""
        hook = self.providers[name].inbound(account, recipient, text, message, button)
        if hook is None:
            return 0
        return await self.post(
            account, hook, recipient, message.id if message else "", "button" if button else "inbound"
        )

    async def block(self, name: str, account: Account, recipient: str, blocked: bool) -> int:
        """The person blocks (or unblocks) the sender: told at once, and further sends are refused."""
        hook = self._blocked(name, account, recipient, blocked)
        return await self.post(account, hook, recipient, "", "block" if blocked else "unblock") if hook else 0

    def _blocked(self, name: str, account: Account, recipient: str, blocked: bool) -> Hook | None:
        (self.blocked.add if blocked else self.blocked.discard)((name, recipient))
        return self.providers[name].membership(account, recipient, blocked)

    async def follow(self, message: Message) -> None:
        """The person opens the first link of the text."""
        found = LINK.search(message.text)
        url = found[0].rstrip(".,;:!?)") if found else ""
        headers = {"User-Agent": "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"}
        code = await self._poster.send("GET", url, headers, b"") if url else 0
        if code == 200:
            # Not led on at once: the page's script says that it is shown, and leads on.
            await self._poster.send("POST", url, headers, b"")
        self.journal.write(
            "click", provider=message.provider, recipient=message.recipient, id=message.id, url=url, code=code
        )

    async def scan(self, message: Message, urls: Iterable[str]) -> None:
        """A mail scanner that looks like a browser opens everything it finds, all at once."""
        headers = {
            "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"
        }
        codes = await asyncio.gather(*(self._poster.send("GET", url, headers, b"") for url in urls))
        self.journal.write(
            "scan", provider=message.provider, recipient=message.recipient, id=message.id, codes=list(codes)
        )

    async def unsubscribe(self, message: Message) -> None:
        """The person's mail program unsubscribes without opening a page (RFC 8058)."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = b"List-Unsubscribe=One-Click"
        code = await self._poster.send("POST", message.one_click, headers, body) if message.one_click else 0
        self.journal.write(
            "one_click",
            provider=message.provider,
            recipient=message.recipient,
            id=message.id,
            url=message.one_click,
            code=code,
        )

    async def post(
        self,
        account: Account,
        hook: Hook | None,
        recipient: str,
        message_id: str,
        status: str,
        *,
        own: str = "",
        query: str = "",
    ) -> int:
        """Post a callback until it is taken with a 2xx, at most TRIES times. Every try is in the journal."""
        url = account.callback_url or own
        if hook is None or not url:
            return 0
        for part in (query, hook.query):
            if part:
                url += ("&" if "?" in url else "?") + part
        code = 0
        for attempt in range(1, TRIES + 1):
            code = await self._poster.send(hook.method, url, hook.headers, hook.body)
            self.journal.write(
                "callback",
                provider=account.provider,
                recipient=recipient,
                id=message_id,
                status=status,
                code=code,
                attempt=attempt,
            )
            if 200 <= code < 300:
                self.stats[f"{account.provider} callbacks"] += 1
                return code
            self.stats[f"{account.provider} callbacks refused"] += 1
            await asyncio.sleep(RETRY * 2 ** (attempt - 1) / self.speed)
        return code

    # ------------------------------------------------------------ money

    def _charge(self, message: Message, moment: str) -> None:
        order = ("accepted", "sent", "delivered", "read")
        due = message.account.charged_on
        if message.charged or message.cost == 0 or moment not in order or due not in order:
            return
        if order.index(moment) < order.index(due):
            return
        message.charged = True
        if message.account.balance is not None:
            message.account.balance -= message.cost
        self.journal.write(
            "charge",
            provider=message.provider,
            account=_masked(message.account.name),
            recipient=message.recipient,
            id=message.id,
            ref=message.ref,
            amount=str(message.cost),
        )

    # ------------------------------------------------------------ faults below HTTP, and kills

    def head_seen(self, connection: HttpConnection, method: str, target: str) -> bool:
        """False when the connection was broken on the sight of the head: the body is never read."""
        name = target.split("/", 2)[1] if target.startswith("/") else ""
        for fault in self.faults:
            if fault["provider"] in {"*", name} and fault["times"] > 0 and not target.startswith("/_emulator"):
                fault["times"] -= 1
                self.journal.write("incomplete", provider=name, head=_no_query(target), bytes=0, fault=fault["fault"])
                if fault["fault"] == "close":
                    connection.close()
                else:
                    connection.reset()
                return False
        return True

    def broken(self, connection: HttpConnection, data: bytes) -> None:
        """A request that ended before it was whole."""
        line = data.partition(b"\r\n")[0].decode("latin-1")
        target = line.split(" ")[1] if line.count(" ") >= 2 else ""
        name = target.split("/", 2)[1] if target.startswith("/") else ""
        self.journal.write("incomplete", provider=name, head=_no_query(target), bytes=len(data), peer=connection.peer)

    def other(self, provider: str, operation: str, request: Request, **fields: Any) -> None:
        """A request that is not a send, for the journal."""
        self.journal.write("other", provider=provider, op=operation, peer=request.peer, **fields)

    def _kills(self, provider: str, recipient: str, request: Request, point: str) -> None:
        """SIGKILL the process that sent this request, if a rule says so and names its pid as allowed."""
        for rule in self.kill_rules:
            if rule["point"] != point or rule["times"] <= 0 or rule["provider"] not in {"*", provider}:
                continue
            if rule["recipient"] not in {"*", recipient}:
                continue
            rule["seen"] += 1
            if rule["seen"] % rule["every"]:
                continue
            pid = find_pid(request.peer, rule["pids"])
            if pid is None:
                continue
            rule["times"] -= 1
            self.journal.write("kill", pid=pid, point=point, of=request.number, provider=provider, recipient=recipient)
            self.journal.flush()
            os.kill(pid, rule["signal"])

    def add_kill(self, rule: dict[str, Any]) -> None:
        """See control.py."""
        pids = [int(pid) for pid in rule["pids"]]
        if os.getpid() in pids or any(pid <= 1 for pid in pids):
            raise ValueError("these pids are not to be killed")
        self.kill_rules.append(
            {
                "pids": pids,
                "provider": str(rule.get("provider", "*")),
                "recipient": str(rule.get("recipient", "*")),
                "point": str(rule.get("point", "complete")),
                "every": max(1, int(rule.get("every", 1))),
                "times": int(rule.get("times", 1)),
                "signal": signal.Signals(int(rule.get("signal", signal.SIGKILL))),
                "seen": 0,
            }
        )

    async def close(self) -> None:
        self.reset()
        self._poster.close()


_SETTABLE = frozenset(
    {
        "state",
        "balance",
        "price",
        "charged_on",
        "rate",
        "latency",
        "callback_url",
        "callback_secret",
        "callback_style",
        "honour_ttl",
        "poll_lag",
    }
)


def _next(rules: list[Rule] | None) -> Rule | None:
    """The first rule that still counts."""
    for rule in rules or ():
        if rule.times is None or rule.times > 0:
            return rule
    return None


def make_behaviour(rule: dict[str, Any]) -> Behaviour:
    """A behaviour from a rule of the control API: a name, or a script of steps, or a name with changes."""
    base = BY_NAME[str(rule["behaviour"])] if rule.get("behaviour") else Behaviour("script", steps=DELIVERED)
    steps = base.steps
    if "steps" in rule:
        steps = tuple(Step(float(s.get("after", 0)), str(s["status"]), str(s.get("text", ""))) for s in rule["steps"])
    return Behaviour(
        name=base.name,
        answer=str(rule.get("answer", base.answer)),
        steps=steps,
        early=bool(rule.get("early", base.early)),
        delay=float(rule.get("delay", base.delay)),
        repeat=int(rule.get("repeat", base.repeat)),
    )


def plain(recipient: str) -> str:
    """A recipient as rules and journal name it: without plus and without a messenger's suffix."""
    return recipient.strip().removeprefix("+").removesuffix("@c.us")


def _masked(name: str) -> str:
    """Account names can be tokens; the journal keeps enough to tell them apart."""
    return name if len(name) < 12 else f"{name[:6]}...{len(name)}"


def _no_query(target: str) -> str:
    return re.sub(r"/[^/?]{20,}", "/***", target.partition("?")[0])[:200]


def find_pid(port: int, pids: Iterable[int]) -> int | None:
    """Which of `pids` holds the local TCP socket with this port (IPv4 or IPv6)."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if int(columns[1].rpartition(":")[2], 16) == port and columns[9] != "0":
                inodes.add(f"socket:[{columns[9]}]")
    for pid in pids:
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                if str(descriptor.readlink()) in inodes:
                    return pid
        except OSError:
            continue
    return None
