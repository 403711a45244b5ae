"""Firebase Cloud Messaging, HTTP v1: notifications in the owner's own app.

Sources: firebase.google.com/docs (send, lifespan, error codes, REST reference of projects.messages) and firebase-admin
7.7.0, as read in our fact sheet of 2026-11-22, section 9.1; correction A10 (`fid` beside `token`). Shapes of errors also
from the public notes of a client library (bloomberg/pushiko, docs/fcm_responses.md), read 2026-11-25.

One device per request. Accepted is all FCM ever says; delivered and opened come from the app (push_wire.py). Calls carry an
OAuth token got with a JWT that the service account's key signs; it lives about an hour.

Unverified, and how we live with it:
* 500 and 503 may have sent the message: an unknown outcome, unless the owner says otherwise (repeat_after_500; the app must
  then drop repeats by `key`).
* for how long FCM keeps apart more than four different collapse keys of one device: ours is one per message, which matters
  only to a device that was off while several messages lived.
* 404 without FCM's own word is about the project and not about the device: the account's trouble.
* SENDER_ID_MISMATCH: one device of another project, or all of them with the wrong file: not remembered against anybody.
* whether a PERMISSION_DENIED names the missing right: shown as it comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cascade.vocabulary import FailureClass, Milestone, Reason
from channels.providers import push_wire, wire
from channels.providers.base import (
    N_,
    Accepted,
    AccountReport,
    Answer,
    Call,
    Failed,
    HttpCall,
    OutgoingMessage,
    SendResult,
    Token,
    option,
    secret,
)

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


@dataclass(frozen=True, slots=True)
class FcmConfig:
    service_account: str = secret(
        N_("Key of the service account"),
        N_("Firebase console: Project settings, Service accounts, Generate new private key. Paste the whole file."),
    )
    title: str = option(N_("Title of a notification"), N_("Usually the name of your company."), default="")
    app_receipts: bool = option(
        N_("Our app reports receipts"),
        N_("Switch it on when your developer has built it in: chains may then wait for “delivered” and “read”."),
        default=False,
    )
    data_only: bool = option(
        N_("The app shows notifications itself"),
        N_("Messages come to it as data; without the app's doing nothing is shown."),
        default=False,
        rare=True,
    )
    repeat_after_500: bool = option(
        N_("Send again after an internal error of FCM"),
        N_("Off: nobody gets it twice. On: only if your app drops repeats."),
        default=False,
        rare=True,
    )


CAPABILITIES: Final = replace(push_wire.CAPABILITIES, token=True)

#: HTTP status of a send that was taken; more is never told.
MILESTONES: Final[dict[int, Milestone]] = {200: Milestone.ACCEPTED}

#: FcmError.errorCode -> what it means. INVALID_ARGUMENT is decided by the field it blames, see _error().
ERRORS: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "UNREGISTERED": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    "SENDER_ID_MISMATCH": (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    "THIRD_PARTY_AUTH_ERROR": (FailureClass.AUTH, None),
    "QUOTA_EXCEEDED": (FailureClass.RATE_LIMITED, None),
}
#: Fields of a request that name the device.
DEVICE_FIELDS: Final = frozenset({"message.token", "message.fid"})
#: What FCM asks to wait where it names no time.
QUOTA_WAIT: Final = timedelta(seconds=60)


class Fcm(push_wire.PushProvider):
    slug: ClassVar[str] = "fcm"
    title: ClassVar[str] = N_("Firebase (push in your app)")
    base_url: ClassVar[str] = "https://fcm.googleapis.com"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = FcmConfig

    config: FcmConfig

    def __init__(self, config: FcmConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._account = push_wire.parsed_account(config.service_account)
        if config.app_receipts:
            self.capabilities = replace(push_wire.WITH_RECEIPTS, token=True)

    def problem(self) -> str:
        account = self._account
        if not all(account.get(name) for name in ("project_id", "client_email", "private_key")):
            return N_("This is not the file of a service account: it must be pasted whole, from { to }.")
        try:
            load_pem_private_key(account["private_key"].encode(), None)
        except (ValueError, TypeError):
            return N_("The private key in this file is damaged. Generate a new one and paste the file as it is.")
        return ""

    def _secrets(self) -> tuple[str, ...]:
        key = self._account.get("private_key", "")
        lines = [line for line in key.splitlines() if not line.startswith("---")]
        return self.config.service_account, key, *lines, self.callback_secret, self.token

    # --- the access token

    def build_token(self, now: datetime) -> Call | None:
        if self.problem():
            return None
        own = self.base != self.base_url
        url = f"{self.base}/token" if own else self._account.get("token_uri") or TOKEN_URL
        claims = {
            "iss": self._account["client_email"],
            "scope": SCOPE,
            "aud": self._account.get("token_uri") or TOKEN_URL,
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 3600,
        }
        header = {"kid": self._account["private_key_id"]} if self._account.get("private_key_id") else None
        assertion = jwt.encode(claims, self._account["private_key"], algorithm="RS256", headers=header)
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
        return HttpCall("POST", url, form=form)

    def read_token(self, call: Call, answer: Answer) -> Token | Failed:
        return wire.read_oauth_token(answer, self._secrets())

    # --- sending

    def device_address(self, told: Mapping[str, Any]) -> str:
        """{"token": ...} or {"fid": ...}: exactly one of them goes into a message (A10), so its kind is kept."""
        if fid := push_wire.token_of(told, "fid"):
            return f"fid:{fid}"
        if token := push_wire.token_of(told, "token"):
            return token
        raise ValueError("neither token nor fid")

    def _request(self, message: dict[str, Any], *, refs: tuple[str, ...], dry: bool = False) -> HttpCall:
        project = quote(self._account.get("project_id", "-"), safe="")
        return HttpCall(
            "POST",
            f"{self.base}/v1/projects/{project}/messages:send",
            headers={"Authorization": f"Bearer {self.token}"},
            json={"message": message} | ({"validate_only": True} if dry else {}),
            refs=refs,
        )

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._request(self._message(message), refs=(message.ref,)) for message in messages]

    def _message(self, message: OutgoingMessage) -> dict[str, Any]:
        life = push_wire.life_of(message)
        kind, _, value = message.address.partition(":")
        device = {"fid": value} if kind == "fid" and value else {"token": message.address}
        shown = {"title": message.subject or self.config.title, "body": message.text}
        data = push_wire.data_of(message, self.app_url if self.config.app_receipts else "")
        apns = {"apns-collapse-id": message.key}
        if message.at is not None:
            apns["apns-expiration"] = str(int(message.at.timestamp()) + life)
        built = {
            **device,
            "data": {**data, **shown} if self.config.data_only else data,
            "android": {"ttl": f"{life}s", "priority": "high", "collapse_key": message.key},
            "apns": {"headers": apns},
            "webpush": {"headers": {"TTL": str(life)}},
        }
        return built if self.config.data_only else {**built, "notification": shown}

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        name = wire.ident(body.get("name"))
        if answer.status in MILESTONES and name:
            return [Accepted(ref, name, MILESTONES[answer.status]) for ref in call.refs]
        failure, reason = self._error(answer, body)
        wait = None
        if failure is FailureClass.RATE_LIMITED:
            wait = wire.retry_after(answer.headers) or QUOTA_WAIT
        return wire.failures(call, failure, self._detail(answer), reason=reason, wait=wait)

    def _error(self, answer: Answer, body: dict[str, Any]) -> tuple[FailureClass, Reason | None]:
        code, status, fields = push_wire.error_of(body)
        if code in ERRORS:
            return ERRORS[code]
        if answer.status == 400 and status == "INVALID_ARGUMENT":
            blames_device = bool(code) and fields <= DEVICE_FIELDS
            if blames_device:
                return FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED
            return FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED
        if answer.status == 404:
            return FailureClass.AUTH, None
        if answer.status in {500, 503} and status and self.config.repeat_after_500:
            return FailureClass.TRANSIENT, None
        return wire.by_http_status(answer), None

    def _detail(self, answer: Answer) -> str:
        return wire.scrub(f"HTTP {answer.status} {wire.words(answer.body, self._secrets())}", self._secrets())

    # --- the account

    def build_self_test(self) -> list[Call]:
        """A message to nobody that is looked at and not sent."""
        notification = {"title": "test", "body": "test"}
        return [self._request({"topic": "cascade-self-test", "notification": notification}, refs=(), dry=True)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        if answer.status == 200 and wire.ident(body.get("name")):
            project = wire.scrub(self._account.get("project_id", ""), self._secrets())
            message = N_("Firebase takes messages for the project “%(project)s”.")
            return AccountReport(ok=True, message=message, params={"project": project})
        failure = self._error(answer, body)[0]
        if failure is FailureClass.AUTH:
            message = N_(
                "Firebase refuses this service account. Check in the Firebase console that it belongs to the project of "
                "your app and that the Cloud Messaging API is switched on: %(detail)s"
            )
            return AccountReport(ok=False, message=message, params={"detail": self._detail(answer)}, failure=failure)
        return wire.trouble_report(answer, failure, self._secrets())
