"""A gateway this program does not know: one JSON request for each message, read as its owner says.

Source: the owner, or whoever keeps the gateway. Everything here is a setting: where the request goes, what stands in
it, where the number of the message is found in the answer, which words and HTTP codes mean what, how receipts look. A
word nobody has listed is what it is everywhere here: unknown after a send, no news in a receipt.

The body is a JSON document with names in braces inside its strings. It is parsed first, and values are put into the
parsed strings: a client's name with a quotation mark, or with braces, cannot change the document.

Requests go only to the addresses typed into these settings (http or https, without a login in them), never to one that
an answer names: redirects are not followed, and private networks are closed unless the installation opens them
(channels.transport).

Unverified: everything about the gateway, by nature. What follows from it:
* an answer that was lost is not repeated, unless the owner says that the gateway knows repeats by {once}, or a
  question by {ref} settles it.
* receipts are believed by their address: a key in the address of each message where the body has {callback}, else the
  secret part of the channel's own address, and the value of a header where the gateway can send one.
* the connection is checked without sending: by `check_url`, or else only whether the server answers a HEAD.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    WEB_ADDRESS,
    Accepted,
    AccountReport,
    Answer,
    Call,
    CallbackItem,
    CallbackRejected,
    CallbackRequest,
    Capabilities,
    How,
    HttpCall,
    OutgoingMessage,
    Provider,
    SendResult,
    SentMessage,
    StatusReport,
    TtlRange,
    option,
    secret,
)

BODY: Final = '{"phone": "{phone}", "text": "{text}", "id": "{ref}"}'
ANSWERS: Final = "401 = account\n403 = account\n402 = money\n429 = slow"
STATUSES: Final = "delivered = delivered\nfailed = failed\nexpired = expired"


@dataclass(frozen=True, slots=True)
class OwnHttpConfig:
    url: str = option(
        N_("Address messages are sent to"), N_("For example https://gateway.example/api/send"), shape=WEB_ADDRESS
    )
    body: str = option(
        N_("What is sent (JSON)"),
        N_(
            "Put in: {phone} with plus, {digits} without, {text}, {ref} our number of the message, {once} the same in "
            "every repeat, {ttl} seconds to live, {callback} where receipts go, {key} the key below."
        ),
        lines=4,
        default=BODY,
    )
    key: str = secret(
        N_("Key of the gateway"), N_("Goes into the header below, or where the body has {key}."), default=""
    )
    key_header: str = option(
        N_("Header with the key"),
        N_("A prefix may follow after a colon: “Authorization: Bearer”. Empty: the key is in no header."),
        default="Authorization: Bearer",
    )
    id_path: str = option(
        N_("Where the answer has the message's number"),
        N_("Names with dots: “id”, “data.0.message_id”. Empty: the gateway gives none, ours is used."),
        default="id",
    )
    result_path: str = option(
        N_("Where the answer has the result in a word"),
        N_("For gateways that say mistakes with HTTP 200. Empty: the HTTP code alone decides."),
        default="",
    )
    answers: str = option(
        N_("What answers mean"),
        N_(
            "A line for each HTTP code or word: “no_money = money”. Meanings: accepted, person, text, account, money, slow, "
            "later. What is not listed is taken for unknown and not sent again."
        ),
        lines=5,
        default=ANSWERS,
    )
    status_path: str = option(
        N_("Where a receipt has its status"), N_("Empty: the gateway sends no receipts."), default=""
    )
    status_id_path: str = option(N_("Where a receipt has the message's number"), default="id")
    status_ref_path: str = option(
        N_("Where a receipt has our number"), N_("If the gateway repeats what it got as {ref}."), default="", rare=True
    )
    status_list_path: str = option(
        N_("Where several receipts stand together"), N_("Names with dots, to the list."), default="", rare=True
    )
    statuses: str = option(
        N_("What statuses mean"),
        N_(
            "A line for each word: “DELIVRD = delivered”. Meanings: accepted, sent, delivered, read, failed (not this time), "
            "expired, gone (no such number), refused (the text)."
        ),
        lines=5,
        default=STATUSES,
    )
    callback_header: str = option(
        N_("Header of a receipt with the gateway's key"), N_("Where the gateway can send one."), default="", rare=True
    )
    callback_key: str = secret(N_("The key in that header"), default="", rare=True)
    status_url: str = option(
        N_("Address statuses are asked for at"),
        N_("With {id} or {ref}: https://gateway.example/api/status/{id}. Empty: they cannot be asked for."),
        default="",
        shape=WEB_ADDRESS,
    )
    check_url: str = option(
        N_("Address that shows whether the key is good"),
        N_("Answers 200 without sending anything. Empty: only whether the server is there is checked."),
        default="",
        shape=WEB_ADDRESS,
    )
    method: str = option(N_("Method"), N_("POST or PUT."), default="POST", rare=True)
    knows_repeats: bool = option(
        N_("The gateway sends a repeat only once"),
        N_(
            "It knows one by {once} in the body. Then a lost answer is repeated; if it is not true, people get it twice."
        ),
        default=False,
        rare=True,
    )
    ttl_max: int = option(
        N_("Longest life of a message, seconds"), N_("Where the body has {ttl}."), default=86_400, rare=True
    )
    ttl_min: int = option(N_("Shortest life of a message, seconds"), default=60, rare=True)
    max_text: int = option(N_("Longest text, letters"), default=1000, rare=True)


CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={Milestone.ACCEPTED: How.ANSWER, Milestone.CLICKED: How.LINK},
    poll_batch=0,
    max_text=1000,
    counts_sms_parts=True,
    default_rate=5.0,
    charged_on=ChargedOn.ACCEPTED,
)

#: Word of the owner's table `statuses` -> milestone.
MILESTONES: Final[dict[str, Milestone]] = {
    "accepted": Milestone.ACCEPTED,
    "sent": Milestone.SENT,
    "delivered": Milestone.DELIVERED,
    "read": Milestone.READ,
}
#: Word of that table that ends a message badly -> what it means.
FAILED_STATUSES: Final[dict[str, tuple[FailureClass, Reason]]] = {
    "failed": (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    "expired": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME),
    "gone": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    "refused": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
}
#: Word of the owner's table `answers` -> what it means; "accepted" is none of them.
ERRORS: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "person": (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    "text": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    "account": (FailureClass.AUTH, None),
    "money": (FailureClass.BALANCE, None),
    "slow": (FailureClass.RATE_LIMITED, None),
    "later": (FailureClass.TRANSIENT, None),
}
ACCEPTED: Final = "accepted"
#: The same words in the owner's language.
_IN_RUSSIAN: Final[dict[str, str]] = {
    "принято": ACCEPTED,
    "человек": "person",
    "текст": "text",
    "доступ": "account",
    "деньги": "money",
    "реже": "slow",
    "позже": "later",
    "отправлено": "sent",
    "доставлено": "delivered",
    "прочитано": "read",
    "не доставлено": "failed",
    "просрочено": "expired",
    "нет номера": "gone",
    "отклонено": "refused",
}
#: Names that the body may hold in braces.
NAMES: Final = frozenset({"phone", "digits", "text", "ref", "once", "ttl", "callback", "key"})

_BRACES = re.compile(r"\{(\w+)\}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class OwnHttp(Provider):
    slug: ClassVar[str] = "own_http"
    kind: ClassVar[ChannelKind] = ChannelKind.SMS
    title: ClassVar[str] = N_("Own HTTP gateway (SMS)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = OwnHttpConfig

    config: OwnHttpConfig

    def __init__(self, config: OwnHttpConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.key, config.callback_key, callback_secret)
        self._template = wire.parse_json(config.body.encode("utf-8", "replace"))
        self._named = set(_names_in(self._template))
        self._answers = _table(config.answers)
        self._statuses = _table(config.statuses)
        self._headers = _key_header(config.key_header, config.key)
        self.capabilities = self._facts()

    def _facts(self) -> Capabilities:
        """What this gateway can tell and take, as its settings have it."""
        config = self.config
        asked, told = bool(config.status_url and config.status_path), bool(config.status_path)
        how = How.BOTH if asked else How.CALLBACK
        reports = dict(CAPABILITIES.reports)
        for word in self._statuses.values() if told else ():
            milestone = MILESTONES.get(word)
            if milestone is not None:
                reports.setdefault(milestone, how)
        lives = "ttl" in self._named and 0 < config.ttl_min <= config.ttl_max
        return replace(
            CAPABILITIES,
            reports=reports,
            poll_batch=1 if asked else 0,
            lookup_by_ref=asked and "{id}" not in config.status_url,
            idempotent_send=config.knows_repeats and "once" in self._named,
            ttl=TtlRange(timedelta(seconds=config.ttl_min), timedelta(seconds=config.ttl_max)) if lives else None,
            max_text=max(1, config.max_text),
            callback_per_message=told and "callback" in self._named,
        )

    def problem(self) -> str:
        """The first thing in these settings that cannot work."""
        config = self.config
        return (
            self._problem_of_addresses()
            or self._problem_of_body()
            or _problem_of_header(config.key_header)
            or _problem_of_table(config.answers, {ACCEPTED, *ERRORS}, _WRONG_ANSWERS)
            or _problem_of_table(config.statuses, {*MILESTONES, *FAILED_STATUSES}, _WRONG_STATUSES)
            or self._problem_of_numbers()
        )

    def _problem_of_addresses(self) -> str:
        config = self.config
        for address in (config.url, config.status_url, config.check_url):
            if address and not _is_address(address):
                return N_(
                    "An address begins with http:// or https://, has a host and no login; the key has a field of its own."
                )
        if _BRACES.search(config.url) or _BRACES.search(config.check_url):
            return N_("Only the address statuses are asked for at may have names in braces.")
        if config.status_url and not config.status_path:
            return N_("Say where a receipt has its status: else the answer to a question about it cannot be read.")
        asked = set(_BRACES.findall(urlsplit(config.status_url).path + urlsplit(config.status_url).query))
        if config.status_url and (not asked or asked - {"id", "ref"} or "{" in urlsplit(config.status_url).netloc):
            return N_("The address statuses are asked for at needs {id} or {ref} after the host, and no other name.")
        return ""

    def _problem_of_body(self) -> str:
        if not isinstance(self._template, dict | list):
            return N_('What is sent is not valid JSON. Names in braces stand inside quotation marks: "{text}".')
        if self._named - NAMES:
            return N_("What is sent has a name in braces that is not in the list above the field.")
        if "text" not in self._named or not self._named & {"phone", "digits"}:
            return N_("What is sent needs {text}, and {phone} or {digits}.")
        if "key" in self._named and not self.config.key:
            return N_("What is sent has {key}, but the key of the gateway is empty.")
        if self.config.knows_repeats and "once" not in self._named:
            return N_("For the gateway to know a repeat, what is sent needs {once}.")
        return ""

    def _problem_of_numbers(self) -> str:
        config = self.config
        if config.method not in {"POST", "PUT"}:
            return N_("The method is POST or PUT.")
        if not 0 < config.ttl_min <= config.ttl_max:
            return N_("The shortest life of a message must be above zero and not above the longest.")
        if not 1 <= config.max_text <= 20_000:
            return N_("The longest text must be between 1 and 20000 letters.")
        if bool(config.callback_header) != bool(config.callback_key):
            return N_("A header of receipts and the key in it go together: fill in both or none.")
        return ""

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            HttpCall(
                self.config.method,
                self.config.url,
                headers=self._headers,
                json=_filled(self._template, self._values(message)),
                refs=(message.ref,),
            )
            for message in messages
        ]

    def _values(self, message: OutgoingMessage) -> dict[str, str]:
        life = message.ttl if message.ttl is not None else timedelta(seconds=self.config.ttl_max)
        facts = self.capabilities.ttl
        address = self.callback_url
        return {
            "phone": message.address,
            "digits": message.address.removeprefix("+"),
            "text": message.text,
            "ref": message.ref,
            "once": message.key,
            "ttl": str(int((facts.snap(life) if facts else life).total_seconds())),
            "callback": wire.message_callback_url(address, self.callback_secret, message.ref) if address else "",
            "key": self.config.key,
        }

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.parse_json(answer.body) if not answer.truncated else wire.UNREADABLE
        word = wire.ident(_dig(body, self.config.result_path)) if self.config.result_path else ""
        meaning = self._answers.get(word.lower()) if word else None
        meaning = meaning or self._answers.get(str(answer.status))
        if meaning is None and 200 <= answer.status < 300 and not self.config.result_path:
            meaning = ACCEPTED
        if meaning == ACCEPTED:
            return self._accepted(call, answer, body)
        if meaning not in ERRORS:
            return wire.by_status_results(call, answer, self._secrets)
        failure, reason = ERRORS[meaning]
        wait = wire.retry_after(answer.headers) if failure in _PATIENT else None
        detail = wire.scrub(f"HTTP {answer.status} {word} {wire.words(answer.body, self._secrets)}", self._secrets)
        return wire.failures(call, failure, detail, reason=reason, wait=wait)

    def _accepted(self, call: Call, answer: Answer, body: Any) -> list[SendResult]:
        """Taken, if the number is where it should be; without a number of the gateway's own, ours stands for it."""
        if not self.config.id_path:
            if not isinstance(body, dict | list):
                return wire.failures(call, FailureClass.OUTCOME_UNKNOWN, "the answer is not JSON")
            if body or self.config.result_path:
                return [Accepted(ref, ref) for ref in call.refs]
        number = wire.ident(_dig(body, self.config.id_path))
        if number:
            return [Accepted(ref, number) for ref in call.refs]
        detail = wire.scrub(f"no number in it: {wire.words(answer.body, self._secrets)}", self._secrets)
        return wire.failures(call, FailureClass.OUTCOME_UNKNOWN, detail)

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        if not self.capabilities.poll_batch:
            return []
        calls: list[Call] = []
        for message in messages:
            if not message.provider_message_id and not self.capabilities.lookup_by_ref:
                continue
            url = self.config.status_url.replace("{id}", quote(message.provider_message_id, safe=""))
            url = url.replace("{ref}", quote(message.ref, safe=""))
            calls.append(HttpCall("GET", url, headers=self._headers, refs=(message.ref,)))
        return calls

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if not wire.is_whole(answer):
            return []
        rows = _rows(wire.parse_json(answer.body), self.config.status_list_path)
        found = [self._report(row, call.refs[0]) for row in rows[:1] if call.refs]
        return [report for report in found if report is not None]

    def verify_callback(self, request: CallbackRequest) -> None:
        """The address is the secret: of this message, or of this channel (compared before we are asked)."""
        if not self.callback_secret:
            raise CallbackRejected
        if self.capabilities.callback_per_message:
            wire.verify_message_key(request, self.callback_secret)
        if self.config.callback_key:
            given = request.headers.get(self.config.callback_header.lower(), "")
            if not wire.same(given, self.config.callback_key):
                raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        body = wire.parse_json(request.body)
        if not isinstance(body, dict | list):
            body = wire.callback_fields(request)
        rows = _rows(body, self.config.status_list_path)
        # Of several receipts the address can name one only: they are known by their own numbers.
        named = self.capabilities.callback_per_message and len(rows) == 1
        found = [self._report(row, wire.message_ref(request) if named else "") for row in rows]
        reports = [report for report in found if report is not None]
        if not reports:
            raise ValueError("no status where the settings say")
        return list(reports)

    def _report(self, row: Any, ref: str) -> StatusReport | None:
        """One receipt; None for what names no message or no status. `ref`: of the message it must be about."""
        word = wire.scrub(wire.ident(_dig(row, self.config.status_path)), self._secrets)
        number = wire.ident(_dig(row, self.config.status_id_path))
        ours = wire.ident(_dig(row, self.config.status_ref_path)) if self.config.status_ref_path else ""
        ref = ref or (ours if wire.OUR_REF.fullmatch(ours) else "")
        if not self.config.status_path or not word or not (number or ref):
            return None
        meaning = self._statuses.get(word.lower(), "")
        failure, reason = FAILED_STATUSES.get(meaning, (None, None))
        return StatusReport(
            event_key=f"{number or ref}:{word}"[: wire.MAX_IDENT],
            raw=word,
            ref=ref,
            provider_message_id=number,
            milestone=MILESTONES.get(meaning),
            failure=failure,
            reason=reason,
            detail=f"status {word}"[: wire.MAX_DETAIL],
        )

    # --- the account

    def build_self_test(self) -> list[Call]:
        if self.config.check_url:
            return [HttpCall("GET", self.config.check_url, headers=self._headers)]
        return [HttpCall("HEAD", self.config.url, headers=self._headers)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        only_there = isinstance(call, HttpCall) and call.method == "HEAD"
        refused = wire.by_http_status(answer) is not FailureClass.OUTCOME_UNKNOWN or answer.status >= 500
        if only_there and not refused:
            return AccountReport(
                ok=True,
                message=N_(
                    "The gateway's server answers. Whether it takes messages, a test message to yourself will show."
                ),
            )
        if not only_there and 200 <= answer.status < 300:
            return AccountReport(ok=True, message=N_("The gateway answers and knows the key."))
        return wire.trouble_report(answer, wire.by_http_status(answer), self._secrets)


#: Failures that may name how long to wait.
_PATIENT: Final = frozenset({FailureClass.RATE_LIMITED, FailureClass.TRANSIENT})
_WRONG_ANSWERS: Final = N_(
    "In “what answers mean” each line is a code or word, “=”, and one of: accepted, person, text, account, money, slow, later."
)
_WRONG_STATUSES: Final = N_(
    "In “what statuses mean” each line is a word, “=”, and one of: accepted, sent, delivered, read, failed, expired, gone, "
    "refused."
)


def _is_address(address: str) -> bool:
    """http(s) with a host, without a login or white space."""
    try:
        parts = urlsplit(address)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        return False
    clean = "@" not in parts.netloc and not re.search(r"[\s\x00-\x1f\\]", address)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port_is_sound and clean


def _table(text: str) -> dict[str, str]:
    """Lines “word = meaning” as a dictionary, both in lower case; what is no such line is left out."""
    return {word: meaning for word, meaning in _lines(text) if word and meaning}


def _lines(text: str) -> list[tuple[str, str]]:
    parts = [line.rpartition("=") for line in text.lower().splitlines() if line.strip()]
    return [(word.strip(), _IN_RUSSIAN.get(meaning.strip(), meaning.strip())) for word, _, meaning in parts]


def _problem_of_table(text: str, meanings: set[str], message: str) -> str:
    return "" if all(word and meaning in meanings for word, meaning in _lines(text)) else message


def _key_header(words: str, key: str) -> dict[str, str]:
    """“Name: prefix” and the key as a header; {} where one of them is empty or cannot stand in a header."""
    name, _, prefix = (part.strip() for part in words.partition(":"))
    value = f"{prefix} {key}".strip()
    if not key or not _TOKEN.fullmatch(name) or not (value.isascii() and value.isprintable()):
        return {}
    return {name: value}


def _problem_of_header(words: str) -> str:
    name = words.partition(":")[0].strip()
    if words and not _TOKEN.fullmatch(name):
        return N_("The header with the key is a name in Latin letters: “Authorization: Bearer” or “X-Api-Key”.")
    return ""


def _names_in(value: Any) -> list[str]:
    """The names in braces in the strings of a JSON document; keys are left as they are."""
    if isinstance(value, str):
        return _BRACES.findall(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [name for each in inner for name in _names_in(each)]


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """A copy of the document with its names replaced, each string once. {ttl} alone is a number."""
    if isinstance(value, dict):
        return {name: _filled(inner, values) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values) for inner in value]
    if not isinstance(value, str):
        return value
    if value == "{ttl}":
        return int(values["ttl"])
    return _BRACES.sub(lambda found: values.get(found[1], found[0]), value)


def _dig(value: Any, path: str) -> Any:
    """What stands at “a.0.b”; None where the way ends."""
    for name in path.split("."):
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 6 and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _rows(body: Any, path: str) -> list[Any]:
    """The receipts of a body: the list at `path`, a list, or one object."""
    found = _dig(body, path) if path else body
    if isinstance(found, list):
        return found
    return body if isinstance(body, list) else [body]
