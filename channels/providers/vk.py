"""VK: messages from a community to people who allowed it to write to them.

Sources: VKCOM/vk-api-schema 5.199 (messages, groups, callback: read on 2026-11-25), dev.vk.com/en/method/messages.send,
vkbottle-types 5.199 and vk_api 11.10.1, as read in our fact sheet of 2026-11-22, section 7; correction D.

VK tells nothing of delivery; that a message was read is told by the event `message_read` and can be asked for: all
messages up to `out_read` are read. An answer that was lost is no trouble: `random_id`, made from the key of the step,
is the same in every try, and VK sends a repeat only once.

Everything is answered with HTTP 200; what went wrong stands in `error`, or in `error` of the person's own row.

Unverified, and how we live with it:
* for how long VK remembers a random_id (at least an hour; its page of 2019 says for ever) and that a repeat is
  answered with the first message's id. The engine repeats within the wait of the step.
* the bodies of `message_read`, `message_allow`, `message_deny` are those of the schema and of vkbottle's types; none
  was seen on the wire. `message_read` names the last message read: where that is not ours, the question finds out.
* which signs a secret key may hold: the owner makes one up and writes it in both places.
* messages.delete: whether it answers {id: 1} or a list of rows (both are read), and for how long it works (error 924
  is "too late", a day by third parties). The person may have seen the message, or its notification, before.
* 4096 characters as the limit of a community's message: the schema says 9000, we stop at 4000.
* the limit of a community's key (20 calls a second, third-party): the owner sets the channel's pace. How long 6, 9
  and 29 want to be left alone: a second, a minute, an hour.
* programs that know no callback buttons: nobody says what they show.
* Bots Long Poll, for a server nobody can call: the question (`act=a_check`), its `failed` 1, 2 and 3 and the form of
  `server` are those of many public clients. It is put to VK's own hosts only. For how long VK keeps what was not asked
  for is unknown. That groups.setLongPollSettings works with a community's key: else the owner switches it on by hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    DIGITS,
    N_,
    Accepted,
    AccountReport,
    AddressChange,
    AddressState,
    Answer,
    Button,
    Call,
    CallbackItem,
    CallbackRejected,
    CallbackRequest,
    Capabilities,
    How,
    HttpCall,
    Inbound,
    OutgoingMessage,
    Provider,
    Pulled,
    SendResult,
    SentMessage,
    StatusReport,
    option,
    secret,
)

VERSION: Final = "5.199"


@dataclass(frozen=True, slots=True)
class VkConfig:
    token: str = secret(
        N_("Community access key"),
        N_("Community: Manage, API usage, Create key, with the right “community messages”."),
    )
    group_id: str = option(
        N_("Number of the community"),
        N_("Digits only. It is shown beside the confirmation string of the Callback API."),
        shape=DIGITS,
    )
    secret_key: str = secret(
        N_("Secret key of the Callback API"),
        N_("Make up a long one and write it here and at VK. Not needed where this server asks VK for updates itself."),
        default="",
    )
    confirmation: str = option(
        N_("Confirmation string"),
        N_("Callback API: “the string your server must return”. Save it here first, then press Confirm at VK."),
        default="",
    )
    pressed_answer: str = option(
        N_("Answer to a pressed button"), N_("Shown to the person for a moment, for example “Thank you!”."), default="✓"
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.CHAT_ID,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.READ: How.BOTH,
        Milestone.CLICKED: How.LINK,
        Milestone.REPLIED: How.BUTTON,
        Milestone.GOAL: How.BUTTON,
    },
    idempotent_send=True,
    poll_batch=100,
    recall=True,
    check=True,
    max_text=4000,
    buttons=6,  # rows of an inline keyboard
    default_rate=18.0,
    pull=True,
    charged_on=ChargedOn.ACCEPTED,
    invites=True,
)
#: Events that tell how far a message got -> milestone.
MILESTONES: Final[dict[str, Milestone]] = {"message_read": Milestone.READ}

#: error_code -> what it means. Codes nobody lists are an unknown outcome: repeated with the same random_id.
ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    900: (FailureClass.RECIPIENT_PERMANENT, Reason.BLOCKED),  # in the community's own blacklist
    901: (FailureClass.RECIPIENT_PERMANENT, Reason.BLOCKED),  # never allowed, or forbidden since
    902: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    18: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    37: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    113: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    936: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    3610: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    939: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    950: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    987: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    988: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    100: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    910: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    911: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    914: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    943: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    944: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    5: (FailureClass.AUTH, None),
    7: (FailureClass.AUTH, None),
    14: (FailureClass.AUTH, None),  # wants a captcha: a person must look
    15: (FailureClass.AUTH, None),
    27: (FailureClass.AUTH, None),
    28: (FailureClass.AUTH, None),
    42: (FailureClass.AUTH, None),
    203: (FailureClass.AUTH, None),
    912: (FailureClass.AUTH, None),  # “bot capabilities” are off in the community's settings
    1116: (FailureClass.AUTH, None),
    1117: (FailureClass.AUTH, None),
    6: (FailureClass.RATE_LIMITED, None),
    9: (FailureClass.RATE_LIMITED, None),
    29: (FailureClass.RATE_LIMITED, None),
    1: (FailureClass.OUTCOME_UNKNOWN, None),
    10: (FailureClass.OUTCOME_UNKNOWN, None),
    13: (FailureClass.OUTCOME_UNKNOWN, None),
    43: (FailureClass.OUTCOME_UNKNOWN, None),
}
#: How long to leave VK alone after a code that names no time.
PAUSES: Final[dict[int, timedelta]] = {
    6: timedelta(seconds=1),
    9: timedelta(minutes=1),
    29: timedelta(hours=1),
}

#: What a person's own deed says about reaching them.
DEEDS: Final[dict[str, AddressState]] = {
    "message_allow": AddressState.REACHABLE,
    "message_deny": AddressState.BLOCKED,
}


@dataclass(frozen=True, slots=True)
class _ReadQuestion(HttpCall):
    """A question about conversations, with the messages it is asked for: VK answers for a conversation only."""

    asked: tuple[SentMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class _ServerQuestion(HttpCall):
    """Where to ask for news; `ts`: from where on, where that is known ("": from now)."""

    ts: str = ""


#: `failed` of a question for news. 1 says only that some news are gone, and from where on to ask.
_OLD_KEY: Final = 2
_LOST: Final = 3


class Vk(Provider):
    slug: ClassVar[str] = "vk"
    kind: ClassVar[ChannelKind] = ChannelKind.VK
    title: ClassVar[str] = N_("VK community messages")
    price_habit: ClassVar[str] = N_("Free")
    base_url: ClassVar[str] = "https://api.vk.ru"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = VkConfig

    config: VkConfig

    def __init__(self, config: VkConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.token, config.secret_key, config.confirmation, callback_secret)

    def problem(self) -> str:
        if not (self.config.group_id.isascii() and self.config.group_id.isdigit()):
            return N_("The number of the community is digits only, without “club” or a minus.")
        if self.config.confirmation and not self.config.secret_key:
            return N_("Write the secret key of the Callback API as well: without it nothing VK sends can be believed.")
        return ""

    def _fields(self, **fields: str | int) -> dict[str, str]:
        given = {name: str(value) for name, value in fields.items()}
        return {**given, "access_token": self.config.token, "v": VERSION}

    def _ask(self, method: str, refs: tuple[str, ...] = (), **fields: str | int) -> HttpCall:
        return HttpCall("POST", f"{self.base}/method/{method}", form=self._fields(**fields), refs=refs)

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        calls: list[Call] = []
        for message in messages:
            more = {"keyboard": _keyboard(message.buttons)} if message.buttons else {}
            calls.append(
                self._ask(
                    "messages.send",
                    (message.ref,),
                    peer_ids=message.address,
                    random_id=random_id(message.key),
                    message=message.text,
                    **more,
                )
            )
        return calls

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        if body is None or answer.status != 200:
            return wire.by_status_results(call, answer, self._secrets)
        row = _sent_row(body.get("response"))
        message_id = wire.ident(row.get("message_id"))
        if message_id not in {"", "0"} and "error" not in row and "error" not in body:
            return [Accepted(ref, message_id) for ref in call.refs]
        code, words = _error(row) or _error(body) or (None, "")
        failure, reason = ERRORS.get(code, (FailureClass.OUTCOME_UNKNOWN, None)) if code is not None else _NOBODY_KNOWS
        wait = PAUSES.get(code) if code is not None and failure is FailureClass.RATE_LIMITED else None
        detail = f"error {code}: {words}" if code is not None else wire.words(answer.body, self._secrets)
        return wire.failures(call, failure, wire.scrub(detail, self._secrets), reason=reason, wait=wait)

    # --- who has read

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        asked = [message for message in messages if message.provider_message_id]
        return [self._conversations(asked[start : start + 100]) for start in range(0, len(asked), 100)]

    def _conversations(self, messages: Sequence[SentMessage]) -> Call:
        peers = ",".join(dict.fromkeys(message.address for message in messages))
        return _ReadQuestion(
            "POST",
            f"{self.base}/method/messages.getConversationsById",
            form=self._fields(peer_ids=peers, group_id=self.config.group_id),
            refs=tuple(message.ref for message in messages),
            asked=tuple(messages),
        )

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if not wire.is_whole(answer) or not isinstance(call, _ReadQuestion):
            return []
        items = wire.get_dict(wire.parse_json(answer.body), "response").get("items")
        read_up_to = {
            wire.ident(wire.get_dict(item, "peer").get("id")): wire.number(item.get("out_read"))
            for item in (items if isinstance(items, list) else [])
            if isinstance(item, dict)
        }
        found = []
        for message in call.asked:
            last, number = read_up_to.get(message.address), wire.number(message.provider_message_id)
            if last is not None and number is not None and number <= last:
                found.append(_read_report(message.address, message.provider_message_id, ref=message.ref))
        return found

    # --- what people do

    def verify_callback(self, request: CallbackRequest) -> None:
        """The body's `secret`. The question for the confirmation string comes before VK knows any secret."""
        body = wire.json_object(request.body) or {}
        known = wire.same(wire.scalar(body.get("secret")), self.config.secret_key)
        if not self.callback_secret or not (known or self._confirms(body)):
            raise CallbackRejected

    def _confirms(self, body: dict[str, Any]) -> bool:
        return body.get("type") == "confirmation" and wire.ident(body.get("group_id")) == self.config.group_id

    def callback_reply(self, request: CallbackRequest) -> tuple[int, str]:
        if self._confirms(wire.json_object(request.body) or {}):
            return 200, self.config.confirmation
        return 200, "ok"

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        body = wire.json_object(request.body) or {}
        kind, event, about = (
            wire.ident(body.get("type")),
            wire.ident(body.get("event_id")),
            wire.get_dict(body, "object"),
        )
        if not kind or wire.ident(body.get("group_id")) != self.config.group_id:
            raise ValueError("not an event of this community")
        if kind in MILESTONES:
            return _read_event(about)
        if kind in DEEDS:
            return _read_deed(kind, event, about)
        if kind == "message_new":
            return _read_message(event, about)
        if kind == "message_event":
            return _read_press(event, about)
        return []

    def build_ack(self, request: CallbackRequest) -> list[Call]:
        """messages.sendMessageEventAnswer: the pressed button stops spinning."""
        body = wire.json_object(request.body) or {}
        about = wire.get_dict(body, "object")
        event, user, peer = (wire.ident(about.get(name)) for name in ("event_id", "user_id", "peer_id"))
        if body.get("type") != "message_event" or not (event and user and peer):
            return []
        shown = json.dumps({"type": "show_snackbar", "text": self.config.pressed_answer}, ensure_ascii=False)
        fields = {"event_id": event, "user_id": user, "peer_id": peer, "event_data": shown}
        return [self._ask("messages.sendMessageEventAnswer", (), **fields)]

    def build_pull(self, cursor: str) -> Call | None:
        """Bots Long Poll: first where to ask, then what is new there."""
        place = wire.get_dict(wire.parse_json(cursor.encode()))
        server, key, ts = (wire.scalar(place.get(name)) for name in ("server", "key", "ts"))
        if not key or not self._is_own(server):
            form = self._fields(group_id=self.config.group_id)
            return _ServerQuestion("POST", f"{self.base}/method/groups.getLongPollServer", form=form, ts=ts)
        query = {"act": "a_check", "key": key, "ts": ts, "wait": "1"}
        return HttpCall("GET", server, query=query)

    def _is_own(self, server: str) -> bool:
        """The address belongs to VK, or to the host the owner has put in its place."""
        parts = urlsplit(server) if server.isascii() and server.isprintable() else urlsplit("")
        own = parts.scheme == "https" and f".{parts.netloc}".endswith((".vk.com", ".vk.ru"))
        return own or (bool(self.base) and server.startswith(f"{self.base}/"))

    def read_pull(self, call: Call, answer: Answer) -> Pulled:
        body = wire.json_object(answer.body) if wire.is_whole(answer) else None
        if body is None:
            return Pulled(trouble=self._trouble(answer, {}))
        if isinstance(call, _ServerQuestion):
            return self._place(call, answer, body)
        asked = call.query if isinstance(call, HttpCall) else {}
        failed, ts = wire.number(body.get("failed")), wire.ident(body.get("ts"))
        if failed == _OLD_KEY:
            return Pulled(cursor=json.dumps({"ts": asked.get("ts", "")}), more=True)
        if failed == _LOST:
            return Pulled(cursor="", more=True)
        updates = body.get("updates", [] if failed else None)
        if not ts or not isinstance(call, HttpCall) or not isinstance(updates, list):
            return Pulled(trouble=self._trouble(answer, body))
        place = {"server": call.url, "key": asked.get("key", ""), "ts": ts}
        requests = tuple(wire.as_callback(update) for update in updates if isinstance(update, dict))
        moved = ts != asked.get("ts") or bool(requests)
        return Pulled(requests=requests, cursor=json.dumps(place) if moved else None, more=bool(requests))

    def _place(self, call: _ServerQuestion, answer: Answer, body: dict[str, Any]) -> Pulled:
        told = wire.get_dict(body, "response")
        server, key = wire.ident(told.get("server")), wire.ident(told.get("key"))
        ts = call.ts or wire.ident(told.get("ts"))
        if not key or not ts or not self._is_own(server):
            return Pulled(trouble=self._trouble(answer, body))
        place = json.dumps({"server": server, "key": key, "ts": ts})
        return Pulled(cursor=place, more=True) if len(place) <= 500 else Pulled(trouble=self._trouble(answer, body))

    def build_pull_setup(self, url: str) -> Call | None:
        """Switch Long Poll on; whether VK calls an address as well is the owner's setting."""
        events = dict.fromkeys(("message_new", "message_event", "message_allow", "message_deny", "message_read"), "1")
        return self._ask(
            "groups.setLongPollSettings", (), group_id=self.config.group_id, enabled="1", api_version=VERSION, **events
        )

    def read_pull_setup(self, call: Call, answer: Answer) -> AccountReport:
        body = wire.json_object(answer.body) or {}
        if wire.is_whole(answer) and body.get("response") == 1:
            return AccountReport(
                ok=True, message=N_("This server now asks VK for replies and button presses every few seconds.")
            )
        report = self._trouble(answer, body)
        if report.failure is not FailureClass.AUTH:
            return report
        message = N_(
            "The key may not change this setting. At VK open Manage, API usage, Long Poll API: switch it on, version 5.199, "
            "and tick the same events there."
        )
        return AccountReport(ok=False, message=message, failure=FailureClass.AUTH)

    # --- the account and its addresses

    def build_check(self, addresses: Sequence[str]) -> list[Call]:
        method, group = "messages.isMessagesFromGroupAllowed", self.config.group_id
        return [self._ask(method, (address,), group_id=group, user_id=address) for address in addresses]

    def read_check(self, call: Call, answer: Answer) -> list[AddressChange]:
        allowed = wire.number(wire.get_dict(wire.parse_json(answer.body), "response").get("is_allowed"))
        if not wire.is_whole(answer) or allowed not in {0, 1}:
            return []
        state = AddressState.REACHABLE if allowed else AddressState.BLOCKED
        return [AddressChange(address, state) for address in call.refs]

    def build_recall(self, message: SentMessage) -> Call | None:
        if not message.provider_message_id:
            return None
        fields = {"peer_id": message.address, "message_ids": message.provider_message_id, "delete_for_all": "1"}
        return self._ask("messages.delete", (message.ref,), **fields)

    def read_recall(self, call: Call, answer: Answer) -> bool:
        if not wire.is_whole(answer) or not isinstance(call, HttpCall) or call.form is None:
            return False
        told, message_id = wire.get_dict(wire.parse_json(answer.body)).get("response"), call.form["message_ids"]
        if isinstance(told, dict):
            return wire.number(told.get(message_id)) == 1
        rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
        mine = [row for row in rows if wire.ident(row.get("message_id")) == message_id]
        return bool(mine) and all(wire.number(row.get("response")) == 1 and "error" not in row for row in mine)

    def build_self_test(self) -> list[Call]:
        """Whether the key may speak of this community's messages (asked about person 1), and whose name it has."""
        return [*self.build_check(["1"]), self._ask("groups.getById", group_id=self.config.group_id)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.json_object(answer.body) or {}
        told = body.get("response")
        if not wire.is_whole(answer) or not told or "error" in body:
            return self._trouble(answer, body)
        if call.refs:
            return AccountReport(ok=True, message=N_("The key may send messages of the community."))
        groups = told.get("groups") if isinstance(told, dict) else told
        first = groups[0] if isinstance(groups, list) and groups and isinstance(groups[0], dict) else {}
        name = wire.scrub(wire.scalar(first.get("name")), self._secrets)
        if wire.ident(first.get("id")) != self.config.group_id:
            return self._trouble(answer, body)
        message = N_("The community “%(name)s” answers.")
        return AccountReport(ok=True, message=message, params={"name": name}, handle=f"club{self.config.group_id}")

    def invite_link(self, handle: str, token: str) -> str:
        return f"https://vk.me/{handle}?ref={token}" if token else f"https://vk.me/{handle}"

    def _trouble(self, answer: Answer, body: dict[str, Any]) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        code, words = _error(body) or (None, "")
        failure, _ = ERRORS.get(code, _NOBODY_KNOWS) if code is not None else (wire.by_http_status(answer), None)
        detail = wire.scrub(f"error {code}: {words}" if code is not None else wire.words(answer.body), self._secrets)
        message = {
            FailureClass.AUTH: N_(
                "VK refuses the key: %(detail)s. Check that community messages and bot capabilities are switched on, and "
                "that the key has the right “community messages”."
            ),
            FailureClass.RATE_LIMITED: N_("VK asks us to slow down. Try again later."),
        }.get(failure, N_("VK answers something unexpected: %(detail)s. Check the number of the community."))
        return AccountReport(ok=False, message=message, params={"detail": detail}, failure=failure)


_NOBODY_KNOWS: Final = (FailureClass.OUTCOME_UNKNOWN, None)


def random_id(key: str) -> int:
    """A stable positive int64 of a step's key; 0 would switch VK's guard against repeats off.

    All 63 bits: a number that comes twice in a community's history is a message that is never sent.
    """
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1 or 1


def _sent_row(response: Any) -> dict[str, Any]:
    """The person's row of an answer; a bare number is the id itself."""
    if isinstance(response, list):
        return response[0] if len(response) == 1 and isinstance(response[0], dict) else {}
    return {"message_id": response}


def _error(holder: dict[str, Any]) -> tuple[int, str] | None:
    """Code and words of an error: the API's own, or of one person's row."""
    error = wire.get_dict(holder, "error")
    code = wire.number(error.get("error_code", error.get("code")))
    if code is None:
        return None
    return code, wire.scalar(error.get("error_msg")) or wire.scalar(error.get("description"))


def _read_report(peer: str, message_id: str, *, ref: str = "") -> StatusReport:
    return StatusReport(
        event_key=f"read:{peer}:{message_id}"[: wire.MAX_IDENT],
        raw="message_read",
        ref=ref,
        provider_message_id=message_id,
        address=peer,
        milestone=Milestone.READ,
    )


def _read_event(about: dict[str, Any]) -> list[CallbackItem]:
    """message_read. The community's own reading of the person's words is none of ours."""
    reader, peer = wire.number(about.get("from_id")), wire.ident(about.get("peer_id"))
    message_id = wire.ident(about.get("read_message_id"))
    if reader is None or not peer or not message_id:
        raise ValueError("message_read without reader, peer or message")
    return [_read_report(peer, message_id)] if reader > 0 else []


def _read_deed(kind: str, event: str, about: dict[str, Any]) -> list[CallbackItem]:
    """The person allowed or forbade messages; `key` is what the widget they pressed was given."""
    person = wire.ident(about.get("user_id"))
    if not person or not event:
        raise ValueError(f"{kind} without person or event_id")
    change = AddressChange(person, DEEDS[kind], event)
    key = wire.ident(about.get("key"))
    return [change, _started(event, person, key)] if kind == "message_allow" and key else [change]


def _read_message(event: str, about: dict[str, Any]) -> list[CallbackItem]:
    """message_new: words, or a text button. `ref` comes with the first message after a link vk.me/...?ref=."""
    message = about["message"] if isinstance(about.get("message"), dict) else about
    sender, peer = wire.ident(message.get("from_id")), wire.ident(message.get("peer_id"))
    if not event or not sender:
        raise ValueError("message_new without sender or event_id")
    if sender.startswith("-") or peer not in {"", sender} or wire.number(message.get("out")) == 1:
        return []  # another community, a chat of many, our own words
    said = Inbound(
        event_key=event,
        address=sender,
        text=wire.prose(message.get("text")),
        payload=_payload(message.get("payload")),
        at=wire.moment(message.get("date")),
    )
    ref = wire.ident(message.get("ref"))
    return [_started(event, sender, ref), said] if ref else [said]


def _read_press(event: str, about: dict[str, Any]) -> list[CallbackItem]:
    person = wire.ident(about.get("user_id"))
    if not event or not person:
        raise ValueError("message_event without person or event_id")
    return [Inbound(event_key=event, address=person, payload=_payload(about.get("payload")))]


def _started(event: str, person: str, token: str) -> Inbound:
    """As Telegram and MAX tell it: what a link or a widget was given, after the command."""
    return Inbound(event_key=f"start:{event}"[: wire.MAX_IDENT], address=person, text=f"/start {token}")


def _payload(value: Any) -> str:
    """What our button was given (see _key): VK hands it back decoded, or as the text it was."""
    if isinstance(value, str):
        value = wire.parse_json(value.encode("utf-8", "replace"))
    return wire.ident(wire.get_dict(value).get("c"))


def _keyboard(buttons: Sequence[Button]) -> str:
    return json.dumps(
        {"inline": True, "buttons": [[{"action": _key(button)}] for button in buttons]}, ensure_ascii=False
    )


def _key(button: Button) -> dict[str, str]:
    if button.url:
        return {"type": "open_link", "label": button.label, "link": button.url}
    return {"type": "callback", "label": button.label, "payload": json.dumps({"c": button.payload or button.label})}
