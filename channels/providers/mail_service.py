"""Mail services of the world, one adapter for all that django-anymail speaks to with one key.

Sources: fact sheet of 2026-11-22, section 7.2 (django-anymail 15.2, read in its source), which was not tried against the live
services. SendGrid is there, but "no longer tested" by the library's makers.

Webhooks come to an address with a secret in it. Mailgun's are also checked by their signature where its key is given; the
others sign not at all, or in headers that are not kept with a stored webhook, so the address is the only secret: treat it so.

Not here: Amazon SES (its library is not part of this product, and anymail does not verify its notifications), Postal and
Scaleway (they want more than a key): use their SMTP. SendPulse, DashaMail and NotiSend are not known to the library: SMTP.

Unverified: the connection checks of Mailgun, Postmark, Brevo and SendGrid are those public clients use; for the others none is
asked. MailerSend gives no metadata back: its events are matched by its own message id.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from channels.providers import wire
from channels.providers.base import N_, CallbackRejected, CallbackRequest, HttpCall, option, secret
from channels.providers.service_wire import CAPABILITIES, MailService

#: service -> (what the library calls the key, and the second secret, and the domain; "": it has none)
SERVICES: Final[dict[str, tuple[str, str, str]]] = {
    "mailgun": ("api_key", "", "sender_domain"),
    "postmark": ("server_token", "", ""),
    "brevo": ("api_key", "", ""),
    "sendgrid": ("api_key", "", ""),
    "mailjet": ("api_key", "secret_key", ""),
    "sparkpost": ("api_key", "", ""),
    "resend": ("api_key", "", ""),
    "mailersend": ("api_token", "", ""),
    "mailtrap": ("api_token", "", ""),
    "mandrill": ("api_key", "", ""),
}


@dataclass(frozen=True, slots=True)
class MailServiceConfig:
    service: str = option(
        N_("Mail service"),
        N_("One of: mailgun, postmark, brevo, sendgrid, mailjet, sparkpost, resend, mailersend, mailtrap, mandrill."),
    )
    api_key: str = secret(N_("API key"), N_("Made in the service's cabinet; at Postmark the server's token."))
    sender: str = option(N_("Sender's e-mail"), N_("On a domain that is confirmed in the service's cabinet."))
    sender_name: str = option(N_("Sender's name"), default="")
    reply_to: str = option(N_("Answers go to"), N_("Empty: to the sender."), default="", rare=True)
    second_key: str = secret(N_("Second key"), N_("Only Mailjet has one: the secret key."), default="", rare=True)
    domain: str = option(
        N_("Sending domain"), N_("Only for Mailgun, where it is not the sender's own."), default="", rare=True
    )
    webhook_key: str = secret(
        N_("Key of receipts"), N_("Only for Mailgun: the HTTP webhook signing key."), default="", rare=True
    )


class AnyMailService(MailService):
    slug: ClassVar[str] = "mail_service"
    title: ClassVar[str] = N_("Mail service (Mailgun, Postmark, Brevo ...)")
    price_habit: ClassVar[str] = N_("What your mail service asks")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = MailServiceConfig

    config: MailServiceConfig

    def __init__(self, config: MailServiceConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.api_key, config.second_key, config.webhook_key, callback_secret)

    @property
    def service(self) -> str:
        return self.config.service.strip().lower()

    def problem(self) -> str:
        if self.service not in SERVICES:
            return N_("This mail service is not known here. Its name must be one of those listed, in Latin letters.")
        if SERVICES[self.service][1] and not self.config.second_key:
            return N_("This mail service has two keys: enter the second one under “Fine points”.")
        return ""

    def settings(self) -> Mapping[str, str]:
        key, second, domain = SERVICES.get(self.service, ("api_key", "", ""))
        found = {key: self.config.api_key, second: self.config.second_key, domain: self.config.domain}
        return {name: value for name, value in found.items() if name and value}

    def verify_callback(self, request: CallbackRequest) -> None:
        super().verify_callback(request)
        if not (self.service == "mailgun" and self.config.webhook_key):
            return
        signed = wire.get_dict(wire.json_object(request.body), "signature")
        told = wire.scalar(signed.get("timestamp")) + wire.scalar(signed.get("token"))
        good = hmac.new(self.config.webhook_key.encode(), told.encode("utf-8", "replace"), "sha256").hexdigest()
        if not told or not wire.same(wire.scalar(signed.get("signature")), good):
            raise CallbackRejected

    def question(self) -> HttpCall | None:
        key, base = self.config.api_key, self.base
        if self.service == "postmark":
            headers = {"X-Postmark-Server-Token": key, "Accept": "application/json"}
            return HttpCall("GET", f"{base or 'https://api.postmarkapp.com'}/server", headers=headers)
        if self.service == "brevo":
            return HttpCall("GET", f"{base or 'https://api.brevo.com/v3'}/account", headers={"api-key": key})
        if self.service == "sendgrid":
            headers = {"Authorization": f"Bearer {key}"}
            return HttpCall("GET", f"{base or 'https://api.sendgrid.com/v3'}/scopes", headers=headers)
        if self.service == "mailgun":
            domain = self.config.domain or self.config.sender.rpartition("@")[2].strip(" >")
            headers = {"Authorization": "Basic " + base64.b64encode(f"api:{key}".encode()).decode()}
            return HttpCall("GET", f"{base or 'https://api.mailgun.net/v3'}/domains/{domain}", headers=headers)
        return None
