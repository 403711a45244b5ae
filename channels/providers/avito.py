"""Avito Messenger: answers in the chats that people have opened about the owner's listings.

Source: our fact sheet of 2026-11-22, section 9 (generated from Avito's OpenAPI by an SDK: paths, bodies, is_read; the
rest from clients and help pages). Correction D: nothing here has met a live account.

A reply channel: a chat is opened by the person, by writing about a listing; there is no way to begin one, and no phone.
No receipts of delivery. Reading is seen by asking for the chat's messages. Every message of the chat comes to the
webhook, our own as well: those are told by their author.

Calls carry an access token (client_credentials, 24 hours).

Unverified, and how we live with it:
* the algorithm of the header x-avito-messenger-signature is not published: it is not looked at. The webhook's address
  carries a key that only we can make, besides the channel's own secret.
* a message that was sent twice cannot be told from two messages: 5xx and 400 are unknown outcomes.
* 403 is a bad token or a tariff without messenger access: the account's trouble either way.
* 404 may be about the chat or about the account's number: it ends the step and is not remembered against the person.
* the list of messages is taken as a list, or as an object with "messages"; only what its first page holds is found.
* a repeated webhook is harmless: Avito adds addresses, and each message is stored once.
* deleting a message (said to work for an hour) is not used. Rates are not published: the owner sets the pace.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final
from urllib.parse import quote, urlencode

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    DIGITS,
    N_,
    Accepted,
    AccountReport,
    Answer,
    Call,
    CallbackItem,
    CallbackRejected,
    CallbackRequest,
    Capabilities,
    Failed,
    How,
    HttpCall,
    Inbound,
    OutgoingMessage,
    Provider,
    SendResult,
    SentMessage,
    StatusReport,
    Token,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class AvitoConfig:
    client_id: str = option(N_("client_id"), N_("avito.ru: For professionals, Integrations, the keys of the API."))
    client_secret: str = secret(N_("client_secret"), N_("Shown beside client_id."))
    user_id: str = option(
        N_("Profile number"), N_("The number of your profile: it stands in its settings."), shape=DIGITS
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.CHAT_ID,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.READ: How.POLL,
        Milestone.CLICKED: How.LINK,
        Milestone.REPLIED: How.CALLBACK,
    },
    poll_batch=1,
    max_text=1000,
    default_rate=1.0,
    charged_on=ChargedOn.ACCEPTED,
    callback_set_by_hand=False,
    token=True,
)

#: The only receipt: `is_read` of a message in its chat.
MILESTONES: Final[dict[str, Milestone]] = {"is_read": Milestone.READ}

#: HTTP status -> what it means; all others are what HTTP says (wire.by_http_status).
ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    401: (FailureClass.AUTH, None),
    402: (FailureClass.BALANCE, None),
    403: (FailureClass.AUTH, None),
    404: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    429: (FailureClass.RATE_LIMITED, None),
}


class Avito(Provider):
    slug: ClassVar[str] = "avito"
    kind: ClassVar[ChannelKind] = ChannelKind.AVITO
    title: ClassVar[str] = N_("Avito Messenger")
    price_habit: ClassVar[str] = N_("Needs a paid business tariff of Avito")
    base_url: ClassVar[str] = "https://api.avito.ru"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = AvitoConfig

    config: AvitoConfig

    def _secrets(self) -> tuple[str, ...]:
        return self.config.client_secret, self.callback_secret, self.token

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def _chat(self, chat: str, version: int) -> str:
        user = quote(self.config.user_id.strip(), safe="")
        return f"{self.base}/messenger/v{version}/accounts/{user}/chats/{quote(chat, safe='')}"

    # --- the access token

    def build_token(self, now: datetime) -> Call | None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.config.client_id,
            "client_secret": self.config.client_secret,
        }
        return HttpCall("POST", f"{self.base}/token", form=form)

    def read_token(self, call: Call, answer: Answer) -> Token | Failed:
        return wire.read_oauth_token(answer, self._secrets())

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            HttpCall(
                "POST",
                f"{self._chat(message.address, 1)}/messages",
                headers=self._headers,
                json={"message": {"text": message.text}, "type": "text"},
                refs=(message.ref,),
            )
            for message in messages
        ]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        number = wire.ident(body.get("id"))
        if answer.status in {200, 201} and number:
            return [Accepted(ref, number) for ref in call.refs]
        if answer.status not in ERRORS:
            return wire.by_status_results(call, answer, self._secrets())
        failure, reason = ERRORS[answer.status]
        wait = wire.retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, self._detail(answer), reason=reason, wait=wait)

    def _detail(self, answer: Answer) -> str:
        return wire.scrub(f"HTTP {answer.status} {wire.words(answer.body, self._secrets())}", self._secrets())

    # --- what people do

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        return [
            HttpCall("GET", f"{self._chat(each.address, 3)}/messages/", headers=self._headers, refs=(each.ref,))
            for each in messages
            if each.provider_message_id
        ]

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        """Every message of the chat that we have written and the person has read: the caller knows which are its own."""
        if not wire.is_whole(answer):
            return []
        found = wire.parse_json(answer.body)
        rows = found if isinstance(found, list) else wire.get_dict(found).get("messages")
        reports = []
        for row in rows if isinstance(rows, list) else []:
            number = wire.ident(row.get("id")) if isinstance(row, dict) else ""
            if not number or row.get("direction") == "in" or row.get("is_read") is not True:
                continue
            at = wire.moment(row.get("read"))
            reports.append(
                StatusReport(
                    event_key=f"{number}:read"[: wire.MAX_IDENT],
                    raw="is_read",
                    provider_message_id=number,
                    milestone=MILESTONES["is_read"],
                    at=at,
                )
            )
        return reports

    def _key(self) -> str:
        return hmac.new(self.callback_secret.encode(), b"avito webhook", "sha256").hexdigest()[:32]

    def build_callback_setup(self, url: str) -> Call | None:
        payload = {"url": f"{url}?{urlencode({'key': self._key()})}"}
        return HttpCall("POST", f"{self.base}/messenger/v3/webhook", headers=self._headers, json=payload)

    def read_callback_setup(self, call: Call, answer: Answer) -> AccountReport:
        if wire.is_whole(answer) and wire.get_dict(wire.parse_json(answer.body)).get("ok", True) is True:
            return AccountReport(ok=True, message=N_("Avito now sends what people write to this server."))
        return self._trouble(answer)

    def verify_callback(self, request: CallbackRequest) -> None:
        if not self.callback_secret or not wire.same(request.query.get("key", ""), self._key()):
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """A message of a person's. Our own, the system's, and other kinds of news are nothing to us."""
        body = wire.json_object(request.body)
        if body is None:
            raise ValueError("not a JSON object")
        news = wire.get_dict(body, "payload")
        if news.get("type") != "message":
            return []
        value = wire.get_dict(news, "value")
        number, chat = wire.ident(value.get("id")), wire.ident(value.get("chat_id"))
        author = wire.ident(value.get("author_id"))
        if not number or not chat:
            raise ValueError("a message without id or chat")
        ours = {self.config.user_id.strip(), wire.ident(value.get("user_id")), ""}
        if author in ours or value.get("type") == "system":
            return []
        return [
            Inbound(
                event_key=f"m:{number}"[: wire.MAX_IDENT],
                address=chat,
                text=wire.prose(wire.get_dict(value, "content").get("text")),
                at=wire.moment(value.get("created")),
            )
        ]

    # --- the account

    def build_self_test(self) -> list[Call]:
        user = quote(self.config.user_id.strip(), safe="")
        return [HttpCall("GET", f"{self.base}/messenger/v2/accounts/{user}/chats", headers=self._headers)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if wire.is_whole(answer) and isinstance(wire.parse_json(answer.body), dict | list):
            return AccountReport(ok=True, message=N_("Avito lets this account read and write its chats."))
        return self._trouble(answer)

    def _trouble(self, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        failure = ERRORS.get(answer.status, (wire.by_http_status(answer), None))[0]
        message = {
            401: N_("Avito refuses the keys. Copy client_id and client_secret again."),
            403: N_(
                "Avito refuses: the tariff has no access to the messenger, or the profile number is another one's."
            ),
            404: N_("Avito knows no such profile. Check its number."),
        }.get(answer.status)
        if message is None:
            return wire.trouble_report(answer, failure, self._secrets())
        return AccountReport(ok=False, message=message, failure=FailureClass.AUTH)
