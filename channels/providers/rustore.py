"""RuStore push: notifications in the owner's own app on Android phones that have RuStore, with or without Google.

Sources: rustore.ru/help, help.rustore.ru (send-push-notifications), read in our fact sheet of 2026-11-22, section 9.2, and
on 2026-11-25: path, static service token, `message` of token, data, notification and android.ttl ("3.5s"), `validate_only` in
the older page. "A drop-in replacement for Firebase". Delivered and opened come from the app (push_wire.py).

Unverified, and how we live with it:
* what a 200 says: a JSON object without an error is taken for acceptance, its `name` for the id where there is one
  (trust_200 off: only a named one). Without a name our own reference is the id.
* errors are expected in Firebase's shape. 404 and 410 are a dead token (public clients agree); 400 is about the device
  where its words name the token, else about the message; 401 and 403 are the account's trouble; 5xx are unknown outcomes.
* the longest life of a message: four weeks, as Firebase's. There is no collapse key and no priority.
* whether `validate_only` still exists: the self-test writes to a token that cannot exist, so nothing is sent either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import quote

from cascade.vocabulary import FailureClass, Milestone, Reason
from channels.providers import push_wire, wire
from channels.providers.base import (
    N_,
    Accepted,
    AccountReport,
    Answer,
    Call,
    HttpCall,
    OutgoingMessage,
    SendResult,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class RuStoreConfig:
    project_id: str = option(
        N_("Project number"), N_("RuStore console: your app, Push notifications, Projects, the ID of the project.")
    )
    service_token: str = secret(N_("Service token"), N_("On the same page."))
    title: str = option(N_("Title of a notification"), N_("Usually the name of your company."))
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
    trust_200: bool = option(
        N_("An answer 200 means that RuStore took the message"),
        N_("Off: only an answer with a message id does."),
        default=True,
        rare=True,
    )


CAPABILITIES: Final = push_wire.CAPABILITIES

#: HTTP status of a send that was taken; more is never told.
MILESTONES: Final[dict[int, Milestone]] = {200: Milestone.ACCEPTED}

#: HTTP status -> what it means; 400 is decided by its words, see _error().
ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    401: (FailureClass.AUTH, None),
    403: (FailureClass.AUTH, None),
    404: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    410: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    429: (FailureClass.RATE_LIMITED, None),
}
#: Cannot be anybody's.
NOBODY: Final = "cascade-self-test"


class RuStore(push_wire.PushProvider):
    slug: ClassVar[str] = "rustore"
    title: ClassVar[str] = N_("RuStore (push in your app)")
    base_url: ClassVar[str] = "https://vkpns.rustore.ru"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = RuStoreConfig

    config: RuStoreConfig

    def __init__(self, config: RuStoreConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.service_token, callback_secret)
        if config.app_receipts:
            self.capabilities = push_wire.WITH_RECEIPTS

    def device_address(self, told: Mapping[str, Any]) -> str:
        token = push_wire.token_of(told, "token")
        if not token:
            raise ValueError("no token")
        return token

    # --- sending

    def _request(self, message: dict[str, Any], *, refs: tuple[str, ...], dry: bool = False) -> HttpCall:
        project = quote(self.config.project_id.strip(), safe="")
        return HttpCall(
            "POST",
            f"{self.base}/v1/projects/{project}/messages:send",
            headers={"Authorization": f"Bearer {self.config.service_token}"},
            json={"message": message} | ({"validate_only": True} if dry else {}),
            refs=refs,
        )

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._request(self._message(message), refs=(message.ref,)) for message in messages]

    def _message(self, message: OutgoingMessage) -> dict[str, Any]:
        shown = {"title": message.subject or self.config.title, "body": message.text}
        data = push_wire.data_of(message, self.app_url if self.config.app_receipts else "")
        built = {
            "token": message.address,
            "data": {**data, **shown} if self.config.data_only else data,
            "android": {"ttl": f"{push_wire.life_of(message)}s"},
        }
        return built if self.config.data_only else {**built, "notification": shown}

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        if answer.status in MILESTONES and body is not None and "error" not in body:
            name = wire.ident(body.get("name"))
            if name or self.config.trust_200:
                return [Accepted(ref, name or ref, MILESTONES[answer.status]) for ref in call.refs]
        failure, reason = self._error(answer, body or {})
        wait = wire.retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, self._detail(answer), reason=reason, wait=wait)

    def _error(self, answer: Answer, body: dict[str, Any]) -> tuple[FailureClass, Reason | None]:
        if answer.status == 400 and body:
            _, _, fields = push_wire.error_of(body)
            said = wire.words(answer.body, self._secrets).lower()
            if "message.token" in fields or "token" in said:
                return FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED
            return FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED
        if answer.status in {404, 410} and not body:
            return FailureClass.AUTH, None  # a page of somebody's, not RuStore's word about a device
        return ERRORS.get(answer.status, (wire.by_http_status(answer), None))

    def _detail(self, answer: Answer) -> str:
        return wire.scrub(f"HTTP {answer.status} {wire.words(answer.body, self._secrets)}", self._secrets)

    # --- the account

    def build_self_test(self) -> list[Call]:
        """A message to a device that cannot exist: whoever says so has let us in."""
        notification = {"title": "test", "body": "test"}
        return [self._request({"token": NOBODY, "notification": notification}, refs=(), dry=True)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.json_object(answer.body) if not answer.truncated else None
        if body is not None and answer.status in {200, 400, 404, 410}:
            return AccountReport(ok=True, message=N_("RuStore accepts this project and its token."))
        return wire.trouble_report(answer, self._error(answer, body or {})[0], self._secrets)
