"""Web Push (VAPID): notifications in the browser, from the owner's site or from our own page, without an app.

Sources: RFC 8030 (the request), RFC 8291 (encryption, aes128gcm.py), RFC 8292 (VAPID), as read in our fact sheet of
2026-11-22, section 9.3; correction A9 (Apple's 400).

A subscription is an endpoint at the browser maker's push service with two keys of the browser's; it works with the pair of
keys it was made with and no other, so the channel's pair is made once, for the owner. The service says "taken" (201) and
never more; our service worker, which runs in the browser, reports delivered and opened (push_wire.py).

Unverified, and how we live with it:
* which hosts browsers' push services have: known ones are listed, the owner may add (hosts). No other is called: the
  endpoint comes from whoever registers.
* 400 and 403 about one old subscription are told by their words (VapidPkHashMismatch, InvalidRegistration, "correspond",
  "mismatch"); others are the account's trouble (401, 403) or the message's (400). No answer has been captured by us.
* whether a service shortens the life of a message: RFC 8030 lets it, and lets it say so in the answer's TTL.
* there is no question about the keys without a subscription: the self-test calls an endpoint that cannot exist and is
  content with any refusal of it.
* iPhones show notifications only for sites put on the home screen.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from cascade.vocabulary import FailureClass, Milestone, Purpose, Reason
from channels.providers import aes128gcm, push_wire, wire
from channels.providers.base import (
    N_,
    Accepted,
    AccountReport,
    Answer,
    Call,
    HttpCall,
    OutgoingMessage,
    SendResult,
    Shape,
    option,
    secret,
)

SUBJECT: Final = Shape(
    r"mailto:[^@\s]+@[^@\s]+\.[^@\s]+|https://[^\s/]+\.\S+",
    N_("It begins with mailto: or https://, for example mailto:you@example.ru."),
)
HOSTS: Final = "fcm.googleapis.com, *.push.services.mozilla.com, *.notify.windows.com, web.push.apple.com"


@dataclass(frozen=True, slots=True)
class WebPushConfig:
    title: str = option(N_("Title of a notification"), N_("Usually the name of your company."))
    subject: str = option(
        N_("Your address for push services"),
        N_("mailto:you@example.ru or https://example.ru. Google, Mozilla and Apple write there if something is wrong."),
        shape=SUBJECT,
    )
    icon: str = option(
        N_("Address of the picture"), N_("A square PNG on your site, https. Empty: the browser's own."), default=""
    )
    private_key: str = secret(
        N_("Private key (VAPID)"),
        N_("Made for you. Enter one only to go on with people who subscribed in another system."),
        default="",
        rare=True,
    )
    hosts: str = option(
        N_("Push services of browsers"),
        N_("Their hosts, with commas. Others are not called."),
        default=HOSTS,
        rare=True,
    )


CAPABILITIES: Final = push_wire.WITH_RECEIPTS

#: HTTP status of a send that was taken; more is never told.
MILESTONES: Final[dict[int, Milestone]] = {201: Milestone.ACCEPTED}

#: HTTP status -> what it means; see also DEAD.
ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    400: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    401: (FailureClass.AUTH, None),
    403: (FailureClass.AUTH, None),
    404: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    410: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    413: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    429: (FailureClass.RATE_LIMITED, None),
}
#: Words of a 400, 401 or 403 about a subscription that was made with another key or is none (A9).
DEAD: Final = ("vapidpkhashmismatch", "invalidregistration", "correspond", "mismatch", "baddevicetoken")

#: A signature is good for at most a day (RFC 8292); ours for half of one, and is made anew each hour.
SIGNED_FOR: Final = timedelta(hours=12)
NOBODY: Final = "https://fcm.googleapis.com/fcm/send/cascade-self-test"
#: Characters: what a subscription may be as one address (contacts.ContactAddress.value).
LONGEST: Final = 1000


class WebPush(push_wire.PushProvider):
    slug: ClassVar[str] = "web_push"
    title: ClassVar[str] = N_("Push in the browser")
    base_url: ClassVar[str] = ""  # the subscription names the host; an account's own address is a relay, see _url()
    capabilities = CAPABILITIES
    Config: ClassVar[type] = WebPushConfig

    config: WebPushConfig

    def __init__(self, config: WebPushConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.private_key, callback_secret)
        self._hosts = tuple(each.strip().lower() for each in config.hosts.split(",") if each.strip())

    @classmethod
    def completed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        if values.get("private_key"):
            return dict(values)
        number = ec.generate_private_key(aes128gcm.CURVE).private_numbers().private_value
        return {**values, "private_key": _encode(number.to_bytes(32, "big"))}

    def problem(self) -> str:
        if self.config.private_key and _signer(self.config.private_key) is None:
            return N_("This private key is none: it is 43 characters of a key pair for web push.")
        return ""

    @property
    def public_key(self) -> str:
        """What a browser subscribes with; "" for an account without a key."""
        signer = _signer(self.config.private_key)
        return _encode(aes128gcm.public_bytes(signer.public_key())) if signer else ""

    # --- sending

    def device_address(self, told: Mapping[str, Any]) -> str:
        """A PushSubscription as JSON: {"endpoint": ..., "keys": {"p256dh": ..., "auth": ...}}."""
        endpoint, keys = wire.scalar(told.get("endpoint")), wire.get_dict(told.get("keys"))
        p256dh, auth = wire.ident(keys.get("p256dh")).rstrip("="), wire.ident(keys.get("auth")).rstrip("=")
        address = f"{endpoint} {p256dh} {auth}"
        if len(address) > LONGEST:
            raise ValueError("the subscription is too long")
        self._parts(address)
        return address

    def _parts(self, address: str) -> tuple[str, bytes, bytes]:
        """Endpoint, key and secret of a subscription. Raises ValueError for one that nothing may be sent to."""
        endpoint, p256dh, auth = address.split(" ")
        parts = urlsplit(endpoint)
        host = (parts.hostname or "").lower()
        known = any(host == each or (each[:2] == "*." and host.endswith(each[1:])) for each in self._hosts)
        if parts.scheme != "https" or parts.netloc.lower() != host or not known or not endpoint.isascii():
            raise ValueError("not an endpoint of a known push service")
        key, own = _decode(p256dh), _decode(auth)
        ec.EllipticCurvePublicKey.from_encoded_point(aes128gcm.CURVE, key)
        if len(key) != 65 or len(own) != 16:
            raise ValueError("not the keys of a subscription")
        return endpoint, key, own

    def _url(self, endpoint: str) -> str:
        """The endpoint itself, or a relay's address in front of it: https://relay/<host>/<path>."""
        return f"{self.base}/{endpoint.removeprefix('https://')}" if self.base else endpoint

    def _authorization(self, endpoint: str, at: datetime) -> str:
        """RFC 8292. Half a day from the full hour, so that one signature serves all messages of an hour."""
        parts = urlsplit(endpoint)
        expires = int(at.timestamp()) // 3600 * 3600 + int(SIGNED_FOR.total_seconds())
        signed = _signed(
            self.config.private_key, f"{parts.scheme}://{parts.netloc}", self.config.subject.strip(), expires
        )
        return f"vapid t={signed}, k={self.public_key}"

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        """Raises ValueError for an account without a key and an address that is no subscription."""
        return [self._request(message) for message in messages]

    def _request(self, message: OutgoingMessage) -> HttpCall:
        if message.at is None:
            raise ValueError("a signature needs the moment")
        endpoint, receiver, auth = self._parts(message.address)
        shown = {"title": message.subject or self.config.title, "body": message.text, "icon": self.config.icon}
        plain = json.dumps({**push_wire.data_of(message, ""), **shown}, ensure_ascii=False).encode("utf-8", "replace")
        sender, salt = aes128gcm.derived(self.config.private_key.encode(), message.ref, plain, receiver + auth)
        return HttpCall(
            "POST",
            self._url(endpoint),
            headers={
                "Authorization": self._authorization(endpoint, message.at),
                "Content-Encoding": "aes128gcm",
                "Content-Type": "application/octet-stream",
                "TTL": str(push_wire.life_of(message)),
                "Urgency": "high" if message.purpose is Purpose.SERVICE else "normal",
                "Topic": message.key,
            },
            body=aes128gcm.encrypt(plain, receiver, auth, sender=sender, salt=salt),
            refs=(message.ref,),
        )

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        if answer.status in MILESTONES:
            return [Accepted(ref, ref, MILESTONES[answer.status]) for ref in call.refs]
        failure, reason = self._error(answer)
        wait = wire.retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, self._detail(answer), reason=reason, wait=wait)

    def _error(self, answer: Answer) -> tuple[FailureClass, Reason | None]:
        said = wire.words(answer.body, self._secrets).lower()
        if answer.status in {400, 401, 403} and any(word in said for word in DEAD):
            return FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED
        return ERRORS.get(answer.status, (wire.by_http_status(answer), None))

    def _detail(self, answer: Answer) -> str:
        return wire.scrub(f"HTTP {answer.status} {wire.words(answer.body, self._secrets)}", self._secrets)

    # --- the account

    def build_self_test(self) -> list[Call]:
        return [HttpCall("POST", self._url(NOBODY), headers={"TTL": "0"})]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        """There is no account to ask about: the push service answers, and the key is one."""
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        if not self.public_key:
            message = N_("The pair of keys is missing. Save the channel again: it will be made.")
            return AccountReport(ok=False, message=message, failure=FailureClass.AUTH)
        if 400 <= answer.status < 500 and answer.status not in {402, 407, 429}:
            return AccountReport(
                ok=True, message=N_("The push services of browsers can be reached; the keys are there.")
            )
        return wire.trouble_report(answer, wire.by_http_status(answer), self._secrets)


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(value: str) -> bytes:
    """Raises ValueError for what is no base64url."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


@lru_cache(maxsize=64)
def _signer(key: str) -> ec.EllipticCurvePrivateKey | None:
    """The key pair of 32 bytes in base64url, None for anything else."""
    try:
        raw = _decode(key.strip().rstrip("="))
        return ec.derive_private_key(int.from_bytes(raw, "big"), aes128gcm.CURVE) if len(raw) == 32 else None
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _signed(key: str, audience: str, subject: str, expires: int) -> str:
    """A signature costs more than the encryption of a message, and is the same for all of an hour."""
    signer = _signer(key)
    if signer is None:
        raise ValueError("no pair of keys")
    return jwt.encode({"aud": audience, "exp": expires, "sub": subject}, signer, algorithm="ES256")
