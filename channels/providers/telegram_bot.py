"""Telegram Bot API: messages from a bot to people who opened it.

Sources: Bot API 10.3 as generated into aiogram 3.31.0, tdlib/telegram-bot-api Client.cpp and WebhookActor.cpp
(2026-05-07), read in our fact sheet of 2026-11-22, correction A23.

There are no delivery and no read receipts for bots: `ok` means that Telegram's cloud has it (ours: SENT). A chain
that wants proof attaches a button or a link. A person is addressed by a chat id that belongs to this bot alone.

Unverified, and how we live with it:
* rates (30 messages a second for one bot, 1 for one chat) are from third parties: `retry_after` is obeyed.
* an error with code 500 in Telegram's own JSON is "not sent" (seen: "restarting"); a 5xx in any other form is an
  unknown outcome.
* a 400 or 403 with words we do not know is a refusal of this message or this person: Telegram answers `ok: false`
  only for what it did not do.
* `deleteMessage` works for 48 hours; the person may have seen the message or its notification before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    Shape,
    option,
    secret,
)

_TOKEN = Shape(
    r"\d+:[\w-]{20,}", N_("A bot's token is digits, a colon and letters: 123456789:AA… Copy all of it from @BotFather.")
)


@dataclass(frozen=True, slots=True)
class TelegramBotConfig:
    token: str = secret(N_("Bot token"), N_("@BotFather gives it when the bot is made: 123456789:AA..."), shape=_TOKEN)
    link_previews: bool = option(N_("Show previews of links"), default=False, rare=True)


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
    max_text=4096,
    buttons=8,
    default_rate=25.0,
    charged_on=ChargedOn.ACCEPTED,
    callback_set_by_hand=False,
    pull=True,
    invites=True,
)

#: `ok: true` -> milestone: Telegram's cloud took the message over; nothing more is ever told.
MILESTONES: Final[dict[bool, Milestone]] = {True: Milestone.SENT}

#: Words of `description` (any case) -> what they mean; the first that is found counts. HTTP status and error_code
#: contradict each other now and then, the words do not (correction A23).
ERRORS: Final[tuple[tuple[str, FailureClass, Reason | None], ...]] = (
    ("too many requests", FailureClass.RATE_LIMITED, None),
    ("bot was blocked by the user", FailureClass.RECIPIENT_PERMANENT, Reason.BLOCKED),
    ("user is deactivated", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("can't initiate conversation", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("chat not found", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("peer_id_invalid", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    ("upgraded to a supergroup", FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    ("message text is empty", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    ("message is too long", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    ("can't parse entities", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    ("wrong http url", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    ("reply markup is too long", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    ("button_data_invalid", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    ("unauthorized", FailureClass.AUTH, None),
    ("conflict", FailureClass.AUTH, None),
    ("restarting", FailureClass.TRANSIENT, None),
)

#: error_code -> what it means when the words are unknown.
CODES: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    400: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    401: (FailureClass.AUTH, None),
    403: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    404: (FailureClass.AUTH, None),  # the token in the path is wrong or revoked
    409: (FailureClass.AUTH, None),
    413: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    429: (FailureClass.RATE_LIMITED, None),
    500: (FailureClass.TRANSIENT, None),
}

#: my_chat_member: the person's own word about this bot.
MEMBERSHIP: Final[dict[str, AddressState]] = {
    "member": AddressState.REACHABLE,
    "kicked": AddressState.BLOCKED,
}

UPDATES: Final = ("message", "callback_query", "my_chat_member")


class TelegramBot(Provider):
    slug: ClassVar[str] = "telegram_bot"
    kind: ClassVar[ChannelKind] = ChannelKind.TELEGRAM
    title: ClassVar[str] = N_("Telegram bot")
    price_habit: ClassVar[str] = N_("Free")
    base_url: ClassVar[str] = "https://api.telegram.org"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = TelegramBotConfig

    config: TelegramBotConfig

    def __init__(self, config: TelegramBotConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.token, config.token.partition(":")[2], callback_secret)
        self._send_url = self._url("sendMessage")
        self._preview = {"is_disabled": not config.link_previews}

    def _url(self, method: str) -> str:
        return f"{self.base}/bot{self.config.token}/{method}"

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            HttpCall("POST", self._send_url, json=self._payload(message), refs=(message.ref,)) for message in messages
        ]

    def _payload(self, message: OutgoingMessage) -> dict[str, Any]:
        """Plain text, without parse_mode: a client's name can then never break the markup."""
        payload: dict[str, Any] = {
            "chat_id": _chat(message.address),
            "text": message.text,
            "link_preview_options": self._preview,
        }
        if message.buttons:
            payload["reply_markup"] = {"inline_keyboard": [[_key(button)] for button in message.buttons]}
        elif message.contact_button:
            key = {"text": message.contact_button, "request_contact": True}
            payload["reply_markup"] = {"keyboard": [[key]], "resize_keyboard": True, "one_time_keyboard": True}
        return payload

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        if body is None or not isinstance(body.get("ok"), bool):
            return wire.by_status_results(call, answer, self._secrets)
        if body["ok"]:
            result = wire.get_dict(body, "result")
            message_id = wire.ident(result.get("message_id"))
            if not message_id:
                return wire.failures(call, FailureClass.OUTCOME_UNKNOWN, "ok without message_id")
            # The number is unique within its chat only, so the chat is part of our id.
            chat = wire.ident(wire.get_dict(result, "chat").get("id")) or self._asked_chat(call)
            return [Accepted(ref, f"{chat}:{message_id}", MILESTONES[True]) for ref in call.refs]
        failure, reason = self._error(answer, body)
        code = wire.scalar(body.get("error_code")) or str(answer.status)
        detail = wire.scrub(f"{code}: {wire.scalar(body.get('description'))}", self._secrets)
        wait = None
        if failure is FailureClass.RATE_LIMITED:
            wait = wire.retry_after(answer.headers, wire.get_dict(body, "parameters").get("retry_after"))
        return wire.failures(call, failure, detail, reason=reason, wait=wait)

    def _error(self, answer: Answer, body: dict[str, Any]) -> tuple[FailureClass, Reason | None]:
        """What `ok: false` means: the words first, then retry_after, then the code, then the HTTP status."""
        description = wire.scalar(body.get("description")).lower()
        for word, failure, reason in ERRORS:
            if word in description:
                return failure, reason
        parameters = wire.get_dict(body, "parameters")
        if wire.number(parameters.get("retry_after")) is not None:
            return FailureClass.RATE_LIMITED, None
        if wire.scalar(parameters.get("migrate_to_chat_id")):
            return FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED
        code = wire.number(body.get("error_code"))
        if code in CODES:
            return CODES[code]
        return CODES.get(answer.status, (FailureClass.OUTCOME_UNKNOWN, None))

    @staticmethod
    def _asked_chat(call: Call) -> str:
        return wire.ident(wire.get_dict(call.json).get("chat_id")) if isinstance(call, HttpCall) else ""

    # --- what people do

    def verify_callback(self, request: CallbackRequest) -> None:
        if not wire.same(request.headers.get("x-telegram-bot-api-secret-token", ""), self.callback_secret):
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """One update of a webhook, or the answer of getUpdates: both hold the same objects."""
        body = wire.json_object(request.body)
        if body is None:
            raise ValueError("not a JSON object")
        updates = body["result"] if isinstance(body.get("result"), list) else [body]
        items: list[CallbackItem] = []
        for update in updates:
            if not isinstance(update, dict) or not wire.ident(update.get("update_id")):
                raise ValueError("an update without update_id")
            items.extend(self._read_update(update))
        return items

    def _read_update(self, update: dict[str, Any]) -> list[CallbackItem]:
        """What one update says. Kinds we did not ask for (UPDATES) are about nothing we sent."""
        key = f"u{wire.ident(update.get('update_id'))}"
        if message := wire.get_dict(update, "message"):
            return self._read_message(key, message)
        if pressed := wire.get_dict(update, "callback_query"):
            return self._read_press(key, pressed)
        if change := wire.get_dict(update, "my_chat_member"):
            chat = wire.get_dict(change, "chat")
            state = MEMBERSHIP.get(wire.scalar(wire.get_dict(change, "new_chat_member").get("status")))
            address = _private(chat)
            if state and address:
                return [AddressChange(address, state, key, at=wire.moment(change.get("date")))]
        return []

    def _read_message(self, key: str, message: dict[str, Any]) -> list[CallbackItem]:
        address = _private(wire.get_dict(message, "chat"))
        if not address or wire.get_dict(message, "from").get("is_bot") is True:
            return []
        text = wire.prose(message.get("text")) or wire.prose(message.get("caption"))
        replied = wire.ident(wire.get_dict(message, "reply_to_message").get("message_id"))
        card = wire.get_dict(message, "contact")
        # Anybody can forward anybody's card: only the sender's own says whose phone it is.
        own = bool(card) and wire.ident(card.get("user_id")) == (
            wire.ident(wire.get_dict(message, "from").get("id")) or "-"
        )
        return [
            Inbound(
                event_key=key,
                address=address,
                text=text,
                in_reply_to=f"{address}:{replied}" if replied else "",
                at=wire.moment(message.get("date")),
                phone=wire.ident(card.get("phone_number")) if own else "",
                card_of_another=bool(card) and not own,
            )
        ]

    def _read_press(self, key: str, pressed: dict[str, Any]) -> list[CallbackItem]:
        """A pressed button. `message` is absent for old messages, `data` for buttons that are not ours (A23)."""
        message = wire.get_dict(pressed, "message")
        chat = wire.get_dict(message, "chat")
        # In a private chat the chat's id is the person's.
        address = _private(chat) if chat else wire.ident(wire.get_dict(pressed, "from").get("id"))
        if not address:
            return []
        number = wire.ident(message.get("message_id"))
        return [
            Inbound(
                event_key=key,
                address=address,
                payload=wire.ident(pressed.get("data")),
                in_reply_to=f"{address}:{number}" if number else "",
            )
        ]

    def build_ack(self, request: CallbackRequest) -> list[Call]:
        """answerCallbackQuery for each pressed button: until it comes, the button shows a clock."""
        body = wire.json_object(request.body) or {}
        updates = body["result"] if isinstance(body.get("result"), list) else [body]
        ids = (wire.ident(wire.get_dict(update, "callback_query").get("id")) for update in updates)
        return [
            HttpCall("POST", self._url("answerCallbackQuery"), json={"callback_query_id": each}) for each in ids if each
        ]

    def build_callback_setup(self, url: str) -> Call | None:
        payload = {"url": url, "secret_token": self.callback_secret, "allowed_updates": list(UPDATES)}
        return HttpCall("POST", self._url("setWebhook"), json=payload)

    def read_callback_setup(self, call: Call, answer: Answer) -> AccountReport:
        body = wire.json_object(answer.body) or {}
        if answer.no_answer is None and body.get("ok") is True:
            return AccountReport(ok=True, message=N_("Telegram now sends replies and button presses to this server."))
        return self._trouble(answer, body)

    def invite_link(self, handle: str, token: str) -> str:
        return f"https://t.me/{handle}?start={token}" if token else f"https://t.me/{handle}"

    def build_pull(self, cursor: str) -> Call | None:
        """getUpdates. What it brought is confirmed by the next question's offset: by then it is stored."""
        place, limit = wire.pull_place(cursor)
        offset = {"offset": int(place)} if place.isascii() and place.isdigit() else {}
        payload = {**offset, "limit": limit, "timeout": 0, "allowed_updates": list(UPDATES)}
        return HttpCall("POST", self._url("getUpdates"), json=payload)

    def read_pull(self, call: Call, answer: Answer) -> Pulled:
        asked = wire.get_dict(call.json) if isinstance(call, HttpCall) else {}
        if answer.truncated and asked.get("limit") != 1:
            return Pulled(cursor=wire.too_long(wire.ident(asked.get("offset"))), more=True)
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        updates = body.get("result")
        if answer.no_answer is not None or body.get("ok") is not True or not isinstance(updates, list):
            return Pulled(trouble=self._pull_trouble(answer, body))
        numbers = [wire.number(wire.get_dict(update).get("update_id")) for update in updates]
        known = [(number, update) for number, update in zip(numbers, updates, strict=True) if number is not None]
        return Pulled(
            requests=tuple(wire.as_callback(update) for _, update in known),
            cursor=str(max(number for number, _ in known) + 1) if known else None,
            more=len(updates) >= (wire.number(asked.get("limit")) or 1),
        )

    def _pull_trouble(self, answer: Answer, body: dict[str, Any]) -> AccountReport:
        if "conflict" not in wire.scalar(body.get("description")).lower():
            return self._trouble(answer, body)
        hooked = "webhook" in wire.scalar(body.get("description")).lower()
        return AccountReport(
            ok=False,
            message=N_(
                "Telegram sends what people write to this bot to another address. Press “Connect receipts” to get it "
                "here; that address then gets nothing more."
            )
            if hooked
            else N_(
                "Another program asks Telegram for this bot's messages too, and each gets only a part of them. Stop the "
                "other one, or make a bot of its own for Cascade."
            ),
            failure=FailureClass.AUTH,
        )

    def build_pull_setup(self, url: str) -> Call | None:
        return HttpCall("POST", self._url("deleteWebhook"), json={"drop_pending_updates": False})

    def read_pull_setup(self, call: Call, answer: Answer) -> AccountReport:
        body = wire.json_object(answer.body) or {}
        if answer.no_answer is None and body.get("ok") is True:
            message = N_("This server now asks Telegram for replies and button presses every few seconds.")
            return AccountReport(ok=True, message=message)
        return self._trouble(answer, body)

    # --- the account

    def build_recall(self, message: SentMessage) -> Call | None:
        chat, _, number = message.provider_message_id.rpartition(":")
        if not chat or not number.isdigit():
            return None
        payload = {"chat_id": _chat(chat), "message_id": int(number)}
        return HttpCall("POST", self._url("deleteMessage"), json=payload, refs=(message.ref,))

    def read_recall(self, call: Call, answer: Answer) -> bool:
        return answer.no_answer is None and wire.get_dict(wire.parse_json(answer.body)).get("ok") is True

    def build_self_test(self) -> list[Call]:
        return [HttpCall("POST", self._url("getMe"), json={})]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        body = wire.json_object(answer.body) or {}
        if answer.no_answer is None and body.get("ok") is True:
            name = wire.scrub(wire.scalar(wire.get_dict(body, "result").get("username")), self._secrets)
            return AccountReport(ok=True, message=N_("The bot @%(name)s answers."), params={"name": name}, handle=name)
        return self._trouble(answer, body)

    def _trouble(self, answer: Answer, body: dict[str, Any]) -> AccountReport:
        if answer.no_answer is not None:
            return AccountReport(
                ok=False,
                message=N_(
                    "Telegram does not answer: %(detail)s. Where Telegram is blocked, give this channel a proxy abroad."
                ),
                params={"detail": answer.detail},
                failure=FailureClass.TRANSIENT,
            )
        failure = self._error(answer, body)[0] if body.get("ok") is False else wire.by_http_status(answer)
        message = {
            FailureClass.AUTH: N_("Telegram does not know this token. Ask @BotFather for it: /mybots, API Token."),
            FailureClass.RATE_LIMITED: N_("Telegram asks us to slow down. Try again later."),
        }.get(failure, N_("Telegram answers something unexpected: %(detail)s. Check the address of the API."))
        words = wire.scalar(body.get("description")) or wire.words(answer.body, self._secrets)
        detail = wire.scrub(f"HTTP {answer.status} {words}", self._secrets)
        return AccountReport(ok=False, message=message, params={"detail": detail}, failure=failure)


def _chat(address: str) -> int | str:
    """A chat id as the number Telegram wants; anything else as it is, for Telegram to refuse."""
    digits = address.removeprefix("-")
    return int(address) if digits.isascii() and digits.isdigit() and len(digits) < 20 else address


def _private(chat: dict[str, Any]) -> str:
    """The id of a private chat; "" for groups and channels, where "stop" is not said to us."""
    return wire.ident(chat.get("id")) if chat.get("type", "private") == "private" else ""


def _key(button: Button) -> dict[str, str]:
    if button.url:
        return {"text": button.label, "url": button.url}
    return {"text": button.label, "callback_data": button.payload or button.label}
