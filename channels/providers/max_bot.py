"""MAX Bot API: messages from the official bot of a company to people who opened it.

Sources: dev.max.ru/docs-api (POST /messages, POST /subscriptions, Update) and the official Go client
(max-messenger/max-bot-api-client-go: schema.yaml, const.go, stabs/*.json), read in our fact sheet of 2026-11-22,
section 6; corrections A24 and C.

There are no delivery and no read receipts for bots: HTTP 200 means that MAX has it (ours: SENT). A chain that wants
proof attaches a button or a link. A person is addressed by a user id, known once they have started this bot.

The certificate of platform-api2.max.ru is signed by the Russian state's authority (Mintsifry), which no system trusts
by itself: its file is named in OUTGOING_CA_BUNDLES for this host alone (channels.transport). It is not shipped.

Unverified, and how we live with it:
* `error.dialog.suspended` is said when the person stopped the bot, and reported for a bot that has not passed
  moderation as well. So it ends the step and is not remembered against the person; `bot_stopped` is.
* whether a 500 or 503 in MAX's own JSON ever sent anything: an unknown outcome, unless the owner says otherwise
  (repeat_after_500). In any other form a 5xx is always unknown: there is no key against doubles.
* whether 429 names a time to wait: Retry-After is obeyed where it comes.
* 400, 403 and 404 with words nobody has documented: an unknown outcome.
* for how long a message can be deleted; the person may have seen it, or its notification, before.
* whether a subscription limits our secret's alphabet: ours are letters, digits, "-" and "_".
* rates (30 a second for one bot, 2 for one dialogue) may change: the owner sets the channel's pace.
* GET /updates (long polling) is meant for development: MAX limits its speed and how long it keeps updates. It is what
  is left to a server nobody can reach. What it answers while a webhook exists is not documented; the webhook is taken
  away by our own address (DELETE /subscriptions?url=), another program's stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
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
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class MaxBotConfig:
    token: str = secret(N_("Bot token"), N_("business.max.ru: Chat bots, your bot, Settings, after moderation."))
    link_previews: bool = option(N_("Show previews of links"), default=False)
    pressed_answer: str = option(
        N_("Answer to a pressed button"), N_("Shown to the person for a moment, for example “Thank you!”."), default="✓"
    )
    repeat_after_500: bool = option(
        N_("Send again after an internal error of MAX"),
        N_(
            "MAX does not say whether such a message left. Off: it is not sent again here, the next step follows. On: "
            "the same person may get it twice."
        ),
        default=False,
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.CHAT_ID,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.ANSWER,
        Milestone.CLICKED: How.LINK,
        Milestone.REPLIED: How.BUTTON,
        Milestone.GOAL: How.BUTTON,
    },
    poll_batch=0,
    recall=True,
    max_text=4000,
    buttons=30,  # rows of one keyboard
    default_rate=25.0,
    charged_on=ChargedOn.ACCEPTED,
    callback_set_by_hand=False,
    pull=True,
    invites=True,
)

#: HTTP status of a send that was taken -> milestone: MAX has it; nothing more is ever told.
MILESTONES: Final[dict[int, Milestone]] = {200: Milestone.SENT}

#: Words of `code` or `message` (any case) -> what they mean; the first that is found counts.
ERRORS: Final[tuple[tuple[str, FailureClass, Reason | None], ...]] = (
    ("error.dialog.suspended", FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    ("chat.denied", FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    ("access.denied", FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    ("chat.not.found", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("dialog.not.found", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("error.dialog.notfound", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("verify.token", FailureClass.AUTH, None),
    ("attachment.not.ready", FailureClass.TRANSIENT, None),
    ("errors.process.attachment", FailureClass.TRANSIENT, None),
    ("size must be between", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    ("proto.payload", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
)

#: Errors of the server itself in MAX's own JSON: see repeat_after_500.
SERVER_ERRORS: Final = frozenset({500, 503})

#: What a person's own deed says about reaching them.
DEEDS: Final[dict[str, AddressState]] = {
    "bot_started": AddressState.REACHABLE,
    "bot_stopped": AddressState.BLOCKED,
    "dialog_removed": AddressState.BLOCKED,
}

UPDATES: Final = ("message_created", "message_callback", *DEEDS)


class MaxBot(Provider):
    slug: ClassVar[str] = "max_bot"
    kind: ClassVar[ChannelKind] = ChannelKind.MAX
    title: ClassVar[str] = N_("MAX bot")
    price_habit: ClassVar[str] = N_("No fee is known")
    base_url: ClassVar[str] = "https://platform-api2.max.ru"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = MaxBotConfig

    config: MaxBotConfig

    def __init__(self, config: MaxBotConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.token, callback_secret)
        self._headers = {"Authorization": config.token}  # without "Bearer"
        self._preview = {} if config.link_previews else {"disable_link_preview": "true"}

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            HttpCall(
                "POST",
                f"{self.base}/messages",
                headers=self._headers,
                query={"user_id": message.address, **self._preview},
                json=_payload(message),
                refs=(message.ref,),
            )
            for message in messages
        ]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        mid = wire.ident(wire.get_dict(body, "message", "body").get("mid"))
        if answer.status in MILESTONES and mid:
            return [Accepted(ref, mid, MILESTONES[answer.status]) for ref in call.refs]
        failure, reason = self._error(answer, body)
        wait = wire.retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, self._detail(answer, body), reason=reason, wait=wait)

    def _error(self, answer: Answer, body: dict[str, Any]) -> tuple[FailureClass, Reason | None]:
        """What a refusal means: the words first, then the HTTP status."""
        said = " ".join(wire.scalar(body.get(name)) for name in ("code", "message")).lower()
        for word, failure, reason in ERRORS:
            if word in said:
                return failure, reason
        if answer.status in SERVER_ERRORS and self.config.repeat_after_500 and wire.scalar(body.get("code")):
            return FailureClass.TRANSIENT, None
        if answer.status == 403 and body:
            return FailureClass.OUTCOME_UNKNOWN, None  # of this person or of the bot: nobody knows
        return wire.by_http_status(answer), None

    def _detail(self, answer: Answer, body: dict[str, Any]) -> str:
        said = ": ".join(filter(None, (wire.scalar(body.get(name)) for name in ("code", "message"))))
        return wire.scrub(f"HTTP {answer.status} {said or wire.words(answer.body, self._secrets)}", self._secrets)

    # --- what people do

    def verify_callback(self, request: CallbackRequest) -> None:
        if not wire.same(request.headers.get("x-max-bot-api-secret", ""), self.callback_secret):
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """One update of a webhook, or the {updates, marker} of long polling: both hold the same objects."""
        items: list[CallbackItem] = []
        for update in _updates(request):
            if not isinstance(update, dict) or not wire.ident(update.get("update_type")):
                raise ValueError("an update without update_type")
            items.extend(self._read_update(update))
        return items

    def _read_update(self, update: dict[str, Any]) -> list[CallbackItem]:
        """What one update says. Kinds we did not ask for (UPDATES) are about nothing we sent. Updates have no number:
        what happened, to whom and when stands for one."""
        kind, at = wire.ident(update.get("update_type")), _moment(update.get("timestamp"))
        if kind == "message_created":
            return self._read_message(wire.get_dict(update, "message"), at)
        if kind == "message_callback":
            return self._read_press(update, at)
        person = wire.ident(wire.get_dict(update, "user").get("user_id")) or wire.ident(update.get("user_id"))
        if kind not in DEEDS or not person:
            return []
        key = f"{kind}:{person}:{wire.ident(update.get('timestamp'))}"
        change = AddressChange(person, DEEDS[kind], key, at=at)
        if kind != "bot_started":
            return [change]
        # As Telegram tells it: the deep link's payload after the command.
        words = f"/start {wire.ident(update.get('payload'))}".strip()
        return [change, Inbound(event_key=f"{key}:start", address=person, text=words, at=at)]

    def _read_message(self, message: dict[str, Any], at: datetime | None) -> list[CallbackItem]:
        sender, body = wire.get_dict(message, "sender"), wire.get_dict(message, "body")
        person, mid = wire.ident(sender.get("user_id")), wire.ident(body.get("mid"))
        if not mid:
            raise ValueError("a message without mid")
        dialog = wire.get_dict(message, "recipient").get("chat_type", "dialog") == "dialog"
        if not person or not dialog or sender.get("is_bot") is True:
            return []  # in a group “stop” is not said to us
        card = _card(body)
        # Anybody can forward anybody's card; without the owner's id (A24) nobody knows whose it is.
        own = card is not None and wire.ident(wire.get_dict(card, "max_info").get("user_id")) == person
        return [
            Inbound(
                event_key=f"m:{mid}",
                address=person,
                text=wire.prose(body.get("text")),
                at=at,
                phone=_phone(card) if card is not None and own else "",
                card_of_another=card is not None and not own,
            )
        ]

    def _read_press(self, update: dict[str, Any], at: datetime | None) -> list[CallbackItem]:
        """A pressed button. `message` is null for old messages, `payload` absent for buttons that are not ours (A24)."""
        pressed = wire.get_dict(update, "callback")
        number, person = (
            wire.ident(pressed.get("callback_id")),
            wire.ident(wire.get_dict(pressed, "user").get("user_id")),
        )
        if not number or not person:
            raise ValueError("a pressed button without number or person")
        return [
            Inbound(
                event_key=f"c:{number}"[: wire.MAX_IDENT],
                address=person,
                payload=wire.ident(pressed.get("payload")),
                in_reply_to=wire.ident(wire.get_dict(update, "message", "body").get("mid")),
                at=at,
            )
        ]

    def build_ack(self, request: CallbackRequest) -> list[Call]:
        """POST /answers for each pressed button."""
        try:
            updates = _updates(request)
        except ValueError:
            return []
        ids = [wire.ident(wire.get_dict(update, "callback").get("callback_id")) for update in updates]
        return [
            HttpCall(
                "POST",
                f"{self.base}/answers",
                headers=self._headers,
                query={"callback_id": each},
                json={"notification": self.config.pressed_answer},
            )
            for each in ids
            if each
        ]

    def build_callback_setup(self, url: str) -> Call | None:
        payload = {"url": url, "update_types": list(UPDATES), "secret": self.callback_secret}
        return HttpCall("POST", f"{self.base}/subscriptions", headers=self._headers, json=payload)

    def read_callback_setup(self, call: Call, answer: Answer) -> AccountReport:
        if self._done(answer):
            return AccountReport(ok=True, message=N_("MAX now sends replies and button presses to this server."))
        return self._trouble(answer)

    def invite_link(self, handle: str, token: str) -> str:
        return f"https://max.ru/{handle}?start={token}" if token else f"https://max.ru/{handle}"

    def build_pull(self, cursor: str) -> Call | None:
        """GET /updates. What it brought is confirmed by the marker of the next question: by then it is stored."""
        place, limit = wire.pull_place(cursor)
        query = {"limit": str(limit), "timeout": "0", **({"marker": place} if place else {})}
        return HttpCall("GET", f"{self.base}/updates", headers=self._headers, query=query)

    def read_pull(self, call: Call, answer: Answer) -> Pulled:
        asked = call.query if isinstance(call, HttpCall) else {}
        if answer.truncated and asked.get("limit") != "1":
            return Pulled(cursor=wire.too_long(asked.get("marker", "")), more=True)
        body = wire.get_dict(wire.parse_json(answer.body))
        updates, marker = body.get("updates"), wire.number(body.get("marker"))
        if not wire.is_whole(answer) or not isinstance(updates, list):
            return Pulled(trouble=self._trouble(answer))
        return Pulled(
            requests=tuple(wire.as_callback(update) for update in updates if isinstance(update, dict)),
            cursor=None if marker is None else str(marker),
            more=marker is not None and len(updates) >= (wire.number(asked.get("limit")) or 1),
        )

    def build_pull_setup(self, url: str) -> Call | None:
        return HttpCall("DELETE", f"{self.base}/subscriptions", headers=self._headers, query={"url": url})

    def read_pull_setup(self, call: Call, answer: Answer) -> AccountReport:
        # "No such subscription" is as good: nothing is called back.
        if wire.is_whole(answer) and isinstance(wire.get_dict(wire.parse_json(answer.body)).get("success"), bool):
            message = N_(
                "This server now asks MAX for replies and button presses every few seconds. MAX means this for trials: "
                "for daily work give this server a public https address."
            )
            return AccountReport(ok=True, message=message)
        return self._trouble(answer)

    # --- the account

    def build_recall(self, message: SentMessage) -> Call | None:
        if not message.provider_message_id:
            return None
        query = {"message_id": message.provider_message_id}
        return HttpCall("DELETE", f"{self.base}/messages", headers=self._headers, query=query, refs=(message.ref,))

    def read_recall(self, call: Call, answer: Answer) -> bool:
        return self._done(answer)

    @staticmethod
    def _done(answer: Answer) -> bool:
        """{"success": true}; a refusal may come with HTTP 200 as well."""
        return wire.is_whole(answer) and wire.get_dict(wire.parse_json(answer.body)).get("success") is True

    def build_self_test(self) -> list[Call]:
        return [HttpCall("GET", f"{self.base}/me", headers=self._headers)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        me = wire.get_dict(wire.parse_json(answer.body))
        if not wire.is_whole(answer) or not wire.ident(me.get("user_id")):
            return self._trouble(answer)
        name = wire.scrub(wire.scalar(me.get("name")) or wire.scalar(me.get("username")), self._secrets)
        handle = wire.scrub(wire.ident(me.get("username")), self._secrets)
        return AccountReport(ok=True, message=N_("The bot “%(name)s” answers."), params={"name": name}, handle=handle)

    def _trouble(self, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.json_object(answer.body) or {}
        failure = self._error(answer, body)[0]
        message = {
            FailureClass.AUTH: N_(
                "MAX does not know this token: it is wrong, or was taken back. Copy it again at business.max.ru."
            ),
            FailureClass.RATE_LIMITED: N_("MAX asks us to slow down. Try again later."),
        }.get(failure, N_("MAX answers something unexpected: %(detail)s. Check the address of the API."))
        params = {"detail": self._detail(answer, body)}
        return AccountReport(ok=False, message=message, params=params, failure=failure)


def _payload(message: OutgoingMessage) -> dict[str, Any]:
    """Plain text, without format: a client's name can then never break the markup."""
    payload: dict[str, Any] = {"text": message.text, "notify": True}
    rows = [[_key(button)] for button in message.buttons]
    if message.contact_button:
        rows.append([{"type": "request_contact", "text": message.contact_button}])
    if rows:
        payload["attachments"] = [{"type": "inline_keyboard", "payload": {"buttons": rows}}]
    return payload


def _key(button: Button) -> dict[str, str]:
    if button.url:
        return {"type": "link", "text": button.label, "url": button.url}
    return {"type": "callback", "text": button.label, "payload": button.payload or button.label}


def _updates(request: CallbackRequest) -> list[Any]:
    body = wire.json_object(request.body)
    if body is None:
        raise ValueError("not a JSON object")
    return body["updates"] if isinstance(body.get("updates"), list) else [body]


def _card(body: dict[str, Any]) -> dict[str, Any] | None:
    """The card among a message's attachments."""
    found = body.get("attachments")
    for one in found if isinstance(found, list) else []:
        if isinstance(one, dict) and one.get("type") == "contact":
            return wire.get_dict(one, "payload")
    return None


def _phone(card: dict[str, Any]) -> str:
    """The first TEL of the vCard, which comes without a plus (A24)."""
    for line in wire.scalar(card.get("vcf_info")).splitlines():
        name, _, value = line.partition(":")
        if name.upper().partition(";")[0] == "TEL":
            return wire.ident(value)
    return ""


def _moment(milliseconds: Any) -> datetime | None:
    found = wire.number(milliseconds)
    return wire.moment(found // 1000) if found is not None else None
