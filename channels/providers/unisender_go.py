"""UniSender Go: the mail service most Russian shops can pay.

Sources: fact sheet of 2026-11-22, section 7.2 (django-anymail 15.2's source); corrections A13; godocs.unisender.ru/web-api-ref
v1.76 (two data centres, key in X-API-KEY, HTTP codes, idempotence_key of email/send since v1.69), read 2026-11-25.

A 200 is success of the call and not of the address: refused addresses stand in `failed_emails` with a word of their own. The
webhook signs itself: `auth` is the MD5 of the body with the API key in its place. It has no id for its events, and repeats
change even its headers, so an event is told by letter, word and moment; `event_time` is UTC without saying so.

Unverified: that system/info.json (the connection check) needs no field; what a repeat with the same idempotence_key is answered,
so that an unknown outcome is not repeated; whether 402 is ever sent. Letters carry the service's own link for unsubscribing
unless the account may leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5
from typing import Any, ClassVar, Final

from cascade.vocabulary import FailureClass, Reason
from channels import mailcodes
from channels.mailcodes import Meaning
from channels.providers import wire
from channels.providers.base import (
    N_,
    Answer,
    CallbackRejected,
    CallbackRequest,
    HttpCall,
    OutgoingMessage,
    ServiceEvent,
    option,
    secret,
)
from channels.providers.service_wire import CAPABILITIES, MailService


@dataclass(frozen=True, slots=True)
class UnisenderGoConfig:
    api_key: str = secret(N_("API key"), N_("Cabinet: the account's settings, or those of a project."))
    sender: str = option(N_("Sender's e-mail"), N_("On a domain that is confirmed in the service's cabinet."))
    sender_name: str = option(N_("Sender's name"), default="")
    reply_to: str = option(N_("Answers go to"), N_("Empty: to the sender."), default="", rare=True)


#: Word in `failed_emails` -> what it means.
ERRORS: Final[dict[str, Meaning]] = {
    "invalid": mailcodes.GONE,
    "permanent_unavailable": mailcodes.GONE,
    "temporary_unavailable": mailcodes.RECIPIENT,
    "unsubscribed": (FailureClass.RECIPIENT_PERMANENT, Reason.BLOCKED),
}

#: delivery_status of a hard bounce -> what it means.
BOUNCES: Final[dict[str, Meaning]] = {
    "err_user_unknown": mailcodes.GONE,
    "err_user_inactive": mailcodes.GONE,
    "err_domain_inactive": mailcodes.GONE,
    "err_mailbox_discarded": mailcodes.GONE,
    "err_mailbox_full": mailcodes.RECIPIENT,
    "err_unreachable": mailcodes.RECIPIENT,
    "err_destination_misconfigured": mailcodes.RECIPIENT,
    "err_delivery_failed": mailcodes.RECIPIENT,
    "err_skip_letter": mailcodes.RECIPIENT,
    "err_lost": mailcodes.RECIPIENT,
    "err_spam_rejected": mailcodes.MESSAGE,
    "err_spam_skipped": mailcodes.MESSAGE,
    "err_blacklisted": mailcodes.MESSAGE,
    "err_too_large": mailcodes.MESSAGE,
    "err_unsubscribed": (FailureClass.RECIPIENT_PERMANENT, Reason.BLOCKED),
}


class UnisenderGo(MailService):
    slug: ClassVar[str] = "unisender_go"
    title: ClassVar[str] = N_("UniSender Go")
    price_habit: ClassVar[str] = N_("What your mail service asks")
    base_url: ClassVar[str] = "https://go2.unisender.ru/ru/transactional/api/v1"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = UnisenderGoConfig

    config: UnisenderGoConfig

    @property
    def service(self) -> str:
        return "unisender_go"

    def more(self, message: OutgoingMessage) -> Mapping[str, Any]:
        return {"idempotence_key": message.ref}

    def refused(self, answer: Answer) -> Meaning | None:
        told = wire.get_dict(wire.parse_json(answer.body), "failed_emails")
        # One letter has one recipient: what is told is about them, also in a word nobody has named yet.
        return next((ERRORS.get(wire.ident(word), mailcodes.RECIPIENT) for word in told.values()), None)

    def bounced(self, event: ServiceEvent) -> Meaning | None:
        return BOUNCES.get(event.word)

    def verify_callback(self, request: CallbackRequest) -> None:
        super().verify_callback(request)
        if request.method == "GET" and not request.body:
            return  # it looks whether somebody lives here
        given = wire.scalar((wire.json_object(request.body) or {}).get("auth"))
        if not given.isascii() or not given or not self.config.api_key:
            raise CallbackRejected
        signed = request.body.replace(given.encode(), self.config.api_key.encode())
        if not wire.same(given, md5(signed, usedforsecurity=False).hexdigest()):
            raise CallbackRejected

    def question(self) -> HttpCall | None:
        headers = {"X-API-KEY": self.config.api_key}
        return HttpCall("POST", f"{self.base}/system/info.json", headers=headers, json={})
