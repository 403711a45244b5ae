"""WhatsApp Cloud API: Meta's official API (WABA). Writes first only by texts that Meta has approved.

Sources: developers.facebook.com, pages of the Cloud API (messages, templates, template time-to-live of 2026-05-21, status
webhooks, throughput, business-scoped user ids of 2026-05-28) and the error table and types of a well-kept SDK, as read in our
fact sheet of 2026-11-22, section 3; corrections A25-A28, C. The list of templates, the number's own page and the address for
one number's webhooks: Graph reference pages named by that SDK.

For a Russian company Meta's verification and payment are practically closed: such owners go through a BSP.

An approved text carries its own life (message_send_ttl_seconds); a message cannot have one. Of marketing texts it counts only
on the Marketing Messages API, which is another path; without it, and where none is set, a message is kept for 30 days.

`biz_opaque_callback_data` is our reference: it comes back with every status, so a lost answer is settled by the first one.
It is no key against repeats.

Unverified, and how we live with it:
* the version in the path: an option. Whether `marketing_messages` takes the same body: off unless the owner switches it on.
* `held_for_quality_assessment` and `paused` in an answer: the message has a number and may still go, so it is accepted and
  waited for.
* what an expired life is told as: nothing is expected, the step's own wait decides.
* HTTP errors 1, 131000 and 135000 ("unknown error") as an answer: unknown outcome, a status may still settle it; as a
  status of a message they are a failure to try again. 131014, 133016 and 2494100 are named without a meaning.
* how long a number is limited for spam (131048, 131064): an hour's pause. No waiting time is documented (A28).
* a person without a visible phone: `contacts[].user_id` of an answer is kept with the phone that was written to, and
  `from_user_id` is read where a message has no `from`.
* line breaks and runs of spaces in a value: made one space, as Meta is said to refuse them.
* when Meta charges: taken as "delivered", the owner may correct it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    DIGITS,
    N_,
    Accepted,
    AccountReport,
    Answer,
    ApprovedTemplate,
    Call,
    CallbackItem,
    CallbackRejected,
    CallbackRequest,
    Capabilities,
    How,
    HttpCall,
    Inbound,
    OptOut,
    OutgoingMessage,
    Provider,
    SendResult,
    StatusReport,
    TemplatePage,
    TemplateRef,
    TemplateState,
    TtlRange,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class WhatsAppCloudConfig:
    phone_number_id: str = option(
        N_("Phone number ID"), N_("Meta for Developers: your app, WhatsApp, API Setup."), shape=DIGITS
    )
    business_account_id: str = option(
        N_("WhatsApp Business account ID"),
        N_("On the same page, under the number. The approved templates live there."),
        shape=DIGITS,
    )
    token: str = secret(
        N_("Access token"), N_("A permanent token of a system user, not the one of 24 hours from the page of the app.")
    )
    app_secret: str = secret(N_("App secret"), N_("App settings, Basic. Receipts are signed with it."))
    marketing_messages: bool = option(
        N_("Send advertising through the Marketing Messages API"),
        N_(
            "Only there a marketing template's own message life counts. Meta must have switched it on for your account."
        ),
        default=False,
        rare=True,
    )
    api_version: str = option(
        N_("Version of the API"), N_("As in the address of the API: v23.0."), default="v23.0", rare=True
    )


_DAYS_30: Final = timedelta(days=30)
#: category -> the life an approved text may have.
TEMPLATE_TTL: Final = {
    "authentication": TtlRange(timedelta(seconds=30), timedelta(minutes=15)),
    "utility": TtlRange(timedelta(seconds=30), timedelta(hours=12)),
    "marketing": TtlRange(timedelta(hours=12), _DAYS_30),
}

CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.CALLBACK,
        Milestone.DELIVERED: How.CALLBACK,
        Milestone.READ: How.CALLBACK,
        Milestone.CLICKED: How.LINK,
        Milestone.REPLIED: How.CALLBACK,
    },
    poll_batch=0,
    templates=True,
    template_ttl=TEMPLATE_TTL,
    learns_id=True,
    max_text=1024,  # of an approved text with its values; free text may have 4,096
    default_rate=80.0,
    charged_on=ChargedOn.DELIVERED,
    callback_set_by_hand=False,
    callback_pasted_first=True,
)

#: status word -> milestone. `read` may come without `delivered`, when the chat is open.
MILESTONES: Final = {
    "sent": Milestone.SENT,
    "delivered": Milestone.DELIVERED,
    "read": Milestone.READ,
    "played": Milestone.READ,
}

_GONE: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED)
_TEXT: Final = (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED)
_RATE: Final = (FailureClass.RATE_LIMITED, None)
_AUTH: Final = (FailureClass.AUTH, None)
_AGAIN: Final = (FailureClass.TRANSIENT, None)
#: Code of an error -> what it means, whatever the HTTP status beside it (correction A26).
ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    131026: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    131021: _GONE,
    131049: _GONE,  # this person has had enough marketing from everybody: not again today, and no block
    131050: _GONE,  # this person stopped our marketing; see read_callback()
    130472: _GONE,  # part of an experiment of Meta's
    131062: _GONE,
    137000: _GONE,
    # The window of 24 hours is closed: free text was sent where an approved one was wanted.
    131047: _TEXT,
    **dict.fromkeys((131008, 131009, 131051, 131052, 131053, 131063), _TEXT),
    **dict.fromkeys((132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132068, 132069), _TEXT),
    **dict.fromkeys((4, 613, 80007, 130429, 131048, 131056, 131064), _RATE),
    **dict.fromkeys((0, 3, 10, 190, 368, 130497, 131005, 131030, 131031, 131037, 131045), _AUTH),
    **dict.fromkeys(range(200, 300), _AUTH),
    **dict.fromkeys((131042, 131044), (FailureClass.BALANCE, None)),
    **dict.fromkeys((1, 2, 131000, 131016, 131057, 135000), _AGAIN),
}
#: Errors that do not say whether the message was taken.
DOUBTFUL: Final = frozenset({1, 131000, 135000})
#: Code -> how long to leave the number alone; others have no figure.
PAUSES: Final = {
    131056: timedelta(seconds=6),
    131048: timedelta(hours=1),
    131064: timedelta(hours=1),
}
STOPPED_MARKETING: Final = 131050

STATES: Final = {
    "APPROVED": TemplateState.APPROVED,
    "PENDING": TemplateState.PENDING,
    "IN_APPEAL": TemplateState.PENDING,
    "REJECTED": TemplateState.REJECTED,
    "PAUSED": TemplateState.PAUSED,
    "DISABLED": TemplateState.DISABLED,
    "DELETED": TemplateState.GONE,
    "PENDING_DELETION": TemplateState.GONE,
}
_FIELDS: Final = (
    "name,language,status,category,components,quality_score,message_send_ttl_seconds,parameter_format,rejected_reason"
)
PAGE: Final = 100
#: Buttons that go out as they were approved, without anything of ours.
_PLAIN_BUTTONS: Final = frozenset({"QUICK_REPLY", "PHONE_NUMBER", "URL", "VOICE_CALL"})
_SLOT: Final = re.compile(r"\{\{\s*\w+\s*\}\}")
_NAMED_SLOT: Final = re.compile(r"\{\{\s*[^\W\d]\w*\s*\}\}")
_BLANKS: Final = re.compile(r"\s+")
_CHALLENGE: Final = re.compile(r"[\w-]{1,200}")


class WhatsAppCloud(Provider):
    slug: ClassVar[str] = "whatsapp_cloud"
    kind: ClassVar[ChannelKind] = ChannelKind.WHATSAPP
    title: ClassVar[str] = N_("WhatsApp Cloud API")
    base_url: ClassVar[str] = "https://graph.facebook.com"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = WhatsAppCloudConfig

    config: WhatsAppCloudConfig

    def __init__(self, config: WhatsAppCloudConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.token, config.app_secret, callback_secret)
        self._headers = {"Authorization": f"Bearer {config.token}"}
        self._root = f"{self.base}/{config.api_version}"
        self._number = f"{self._root}/{config.phone_number_id}"

    def problem(self) -> str:
        if not re.fullmatch(r"v\d{1,3}\.\d", self.config.api_version):
            return N_("The version of the API looks like v23.0.")
        return super().problem()

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._send(message) for message in messages]

    def _send(self, message: OutgoingMessage) -> HttpCall:
        body: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            # A phone, or a person's id in our business (BSUID), which is no phone.
            **({"to": message.address[1:]} if message.address.startswith("+") else {"recipient": message.address}),
            "biz_opaque_callback_data": message.ref,
        }
        path = "messages"
        if message.template is None:
            body |= {"type": "text", "text": {"body": message.text}}
        else:
            body |= {"type": "template", "template": _filled(message.template)}
            if self.config.marketing_messages and message.template.category == "marketing":
                path = "marketing_messages"
        return HttpCall("POST", f"{self._number}/{path}", headers=self._headers, json=body, refs=(message.ref,))

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        message_id = wire.ident(_first(body, "messages").get("id"))
        if answer.status in {200, 201} and message_id:
            return [Accepted(ref, message_id, resolved=_hidden(body)) for ref in call.refs]
        error = wire.get_dict(body, "error")
        code = wire.number(error.get("code"))
        if code not in ERRORS:
            return wire.by_status_results(call, answer, self._secrets)
        failure, reason = ERRORS[code]
        if code in DOUBTFUL:
            failure = FailureClass.OUTCOME_UNKNOWN
        wait = PAUSES.get(code) or wire.retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
        return wire.failures(call, failure, self._words(error), reason=reason, wait=wait)

    def _words(self, error: Mapping[str, Any]) -> str:
        """The code with the best of its words."""
        data = wire.scalar(wire.get_dict(error, "error_data").get("details"))
        said = data or wire.scalar(error.get("message")) or wire.scalar(error.get("title"))
        return wire.scrub(f"{wire.scalar(error.get('code'))}: {said}", self._secrets)

    # --- receipts

    def verify_callback(self, request: CallbackRequest) -> None:
        """A signed POST, or the question by which Meta tries an address (GET)."""
        if not self.callback_secret:
            raise CallbackRejected
        if request.method == "GET":
            asked = request.query.get("hub.mode") == "subscribe"
            if not asked or not wire.same(request.query.get("hub.verify_token", ""), self.callback_secret):
                raise CallbackRejected
            return
        good = hmac.new(self.config.app_secret.encode(), request.body, hashlib.sha256).hexdigest()
        if not wire.same(request.headers.get("x-hub-signature-256", ""), f"sha256={good}"):
            raise CallbackRejected

    def callback_reply(self, request: CallbackRequest) -> tuple[int, str]:
        challenge = request.query.get("hub.challenge", "")
        if request.method == "GET" and _CHALLENGE.fullmatch(challenge):
            return 200, challenge
        return 200, "ok"

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """All changes of all entries: statuses, messages, and who stopped our advertising."""
        if request.method == "GET":
            return []
        body = wire.json_object(request.body)
        if body is None or not isinstance(body.get("entry"), list):
            raise ValueError("not a webhook of WhatsApp")
        items: list[CallbackItem] = []
        for entry in _objects(body, "entry"):
            for change in _objects(entry, "changes"):
                value = wire.get_dict(change, "value")
                if wire.scalar(wire.get_dict(value, "metadata").get("phone_number_id")) not in {
                    "",
                    self.config.phone_number_id,
                }:
                    continue  # another number of the same business
                for one in _objects(value, "statuses"):
                    items += self._read_status(one)
                for one in _objects(value, "messages"):
                    items += _read_message(one)
                for one in _objects(value, "user_preferences"):
                    items += _read_preference(one)
        return items

    def _read_status(self, one: Mapping[str, Any]) -> list[CallbackItem]:
        message_id, word = wire.ident(one.get("id")), wire.scrub(wire.ident(one.get("status")), self._secrets)
        if not message_id or not word or wire.scalar(one.get("recipient_type")) == "group":
            return []
        failure: FailureClass | None = None
        reason: Reason | None = None
        code, detail = None, word
        if word == "failed":
            error = _first(one, "errors")
            code, detail = wire.number(error.get("code")), self._words(error)
            failure, reason = ERRORS.get(code, _GONE) if code is not None else _GONE
        ref = wire.scalar(one.get("biz_opaque_callback_data"))
        address, at = _person(one.get("recipient_id")), wire.moment(one.get("timestamp"))
        report = StatusReport(
            event_key=f"{message_id}:{word}",
            raw=word,
            ref=ref if wire.OUR_REF.fullmatch(ref) else "",
            provider_message_id=message_id,
            address=address,
            milestone=MILESTONES.get(word),
            failure=failure,
            reason=reason,
            detail=detail,
            at=at,
        )
        if code == STOPPED_MARKETING:
            return [report, OptOut(f"{report.event_key}:stop", str(code), report.ref, message_id, address, at=at)]
        return [report]

    # --- the account

    def build_callback_setup(self, url: str) -> Call | None:
        """The address for this number alone. Meta tries it at once with the question that verify_callback() knows."""
        told = {"webhook_configuration": {"override_callback_uri": url, "verify_token": self.callback_secret}}
        return HttpCall("POST", self._number, headers=self._headers, json=told)

    def read_callback_setup(self, call: Call, answer: Answer) -> AccountReport:
        if wire.is_whole(answer) and wire.get_dict(wire.parse_json(answer.body)).get("success") is True:
            return AccountReport(
                ok=True,
                message=N_(
                    "Receipts of this number come here now. The app itself must be subscribed to the field “messages”: "
                    "see the provider's page."
                ),
            )
        return self._trouble(answer)

    def build_self_test(self) -> list[Call]:
        """The number (does the token open it?) and one template (may it read them?)."""
        fields = {"fields": "verified_name,display_phone_number,quality_rating"}
        templates = {"fields": "name", "limit": "1"}
        return [
            HttpCall("GET", self._number, headers=self._headers, query=fields),
            HttpCall("GET", self._templates_url(), headers=self._headers, query=templates),
        ]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        body = wire.get_dict(wire.parse_json(answer.body))
        listed = isinstance(call, HttpCall) and call.url == self._templates_url()
        if not wire.is_whole(answer) or "error" in body or not (isinstance(body.get("data"), list) if listed else body):
            return self._trouble(answer)
        if listed:
            return AccountReport(ok=True, message=N_("The account works. Now refresh the templates."))
        params = {
            "name": wire.scrub(wire.scalar(body.get("verified_name")), self._secrets),
            "phone": wire.scrub(wire.scalar(body.get("display_phone_number")), self._secrets),
        }
        return AccountReport(ok=True, message=N_("The number %(phone)s (%(name)s) works."), params=params)

    def _trouble(self, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        error = wire.get_dict(wire.parse_json(answer.body), "error")
        code = wire.number(error.get("code"))
        failure = ERRORS[code][0] if code in ERRORS else wire.by_http_status(answer)
        if failure is FailureClass.AUTH:
            message = N_("WhatsApp refuses: %(detail)s. Check the token and its permissions, and both IDs.")
            return AccountReport(ok=False, message=message, params={"detail": self._words(error)}, failure=failure)
        return wire.trouble_report(answer, failure, self._secrets)

    # --- approved texts

    def _templates_url(self) -> str:
        return f"{self._root}/{self.config.business_account_id}/message_templates"

    def build_templates(self, after: str = "") -> Call | None:
        query = {"fields": _FIELDS, "limit": str(PAGE), **({"after": after} if after else {})}
        return HttpCall("GET", self._templates_url(), headers=self._headers, query=query)

    def read_templates(self, call: Call, answer: Answer) -> TemplatePage | AccountReport:
        body = wire.json_object(answer.body) or {}
        if not wire.is_whole(answer) or not isinstance(body.get("data"), list):
            return self._trouble(answer)
        found = [self._template(one) for one in _objects(body, "data")]
        paging = wire.get_dict(body, "paging")
        after = wire.scalar(wire.get_dict(paging, "cursors").get("after")) if paging.get("next") else ""
        return TemplatePage(tuple(one for one in found if one.name and one.language), after[:1000])

    def _template(self, one: Mapping[str, Any]) -> ApprovedTemplate:
        components = tuple(_objects(one, "components"))
        category = wire.scrub(wire.ident(one.get("category")), self._secrets).lower()
        word = wire.scrub(wire.ident(one.get("status")), self._secrets)
        state = STATES.get(word, TemplateState.UNKNOWN)
        rejected = wire.scrub(wire.scalar(one.get("rejected_reason")), self._secrets)
        detail = word if state is TemplateState.UNKNOWN else rejected if state is TemplateState.REJECTED else ""
        body = next((wire.prose(part.get("text")) for part in components if _type(part) == "BODY"), "")
        return ApprovedTemplate(
            name=wire.scalar(one.get("name"))[:512],
            language=wire.scalar(one.get("language"))[:20],
            body=body,
            state=state,
            category=category,
            ttl=self._life(category, wire.number(one.get("message_send_ttl_seconds"))),
            quality=wire.scrub(wire.ident(wire.get_dict(one, "quality_score").get("score")), self._secrets)[:40],
            unusable=_unusable(one, components, category, body),
            detail=detail,
            code_button=category == "authentication" and any(_type(part) == "BUTTONS" for part in components),
            components=components,
        )

    def _life(self, category: str, seconds: int | None) -> timedelta:
        """How long WhatsApp tries: the text's own life, where it counts, else the default."""
        counts = category != "marketing" or self.config.marketing_messages
        if counts and seconds is not None and 0 < seconds <= _DAYS_30.total_seconds():
            return timedelta(seconds=seconds)
        return timedelta(minutes=10) if category == "authentication" and seconds != -1 else _DAYS_30


def _filled(template: TemplateRef) -> dict[str, Any]:
    """The template object of a send."""
    values = [{"type": "text", "text": _BLANKS.sub(" ", value).strip()} for value in template.parameters]
    components: list[dict[str, Any]] = [{"type": "body", "parameters": values}] if values else []
    if template.code_button and values:
        # The button that copies the code is a URL button to WhatsApp (correction A27).
        components.append({"type": "button", "sub_type": "url", "index": 0, "parameters": values[:1]})
    filled: dict[str, Any] = {"name": template.name, "language": {"code": template.language}}
    return {**filled, "components": components} if components else filled


def _unusable(one: Mapping[str, Any], components: Sequence[Mapping[str, Any]], category: str, body: str) -> str:
    """What this text has that we cannot fill, as English msgid."""
    if not body:
        return N_("It has no text.")
    if wire.scalar(one.get("parameter_format")).upper() == "NAMED" or _NAMED_SLOT.search(body):
        return N_("Its variables have names; only numbered ones ({{1}}, {{2}}) can be filled here.")
    for part in components:
        kind = _type(part)
        if kind == "HEADER" and (
            wire.scalar(part.get("format")).upper() != "TEXT" or _SLOT.search(wire.prose(part.get("text")))
        ):
            return N_("Its heading has a picture, a file or a variable.")
        if kind == "BUTTONS" and category != "authentication":
            for button in _objects(part, "buttons"):
                if _type(button) not in _PLAIN_BUTTONS or _SLOT.search(wire.scalar(button.get("url"))):
                    return N_("One of its buttons needs a value of its own.")
        if kind not in {"HEADER", "BODY", "FOOTER", "BUTTONS"}:
            return N_("It is of a kind that cannot be sent from here (carousel, limited offer, catalogue).")
    return ""


def _type(part: Mapping[str, Any]) -> str:
    return wire.scalar(part.get("type")).upper()


def _read_message(one: Mapping[str, Any]) -> list[CallbackItem]:
    """What a person wrote or pressed. A reaction is nobody's answer."""
    message_id, kind = wire.ident(one.get("id")), wire.scalar(one.get("type"))
    address = _person(one.get("from")) or wire.ident(one.get("from_user_id"))
    if not message_id or not address or kind in {"reaction", "system", "unsupported", "unknown"} or one.get("group_id"):
        return []
    text = wire.prose(wire.get_dict(one, "text").get("body"))
    if kind == "button":
        text = wire.prose(wire.get_dict(one, "button").get("text"))
    elif kind == "interactive":
        text = wire.prose(wire.get_dict(one, "interactive", "button_reply").get("title"))
    elif not text:
        text = wire.prose(wire.get_dict(one, kind).get("caption"))
    answered = wire.ident(wire.get_dict(one, "context").get("id"))
    at = wire.moment(one.get("timestamp"))
    return [Inbound(event_key=f"in:{message_id}", address=address, text=text, in_reply_to=answered, at=at)]


def _read_preference(one: Mapping[str, Any]) -> list[CallbackItem]:
    """“Stop” under an advertisement, told without any message having failed."""
    address, at = _person(one.get("wa_id")), wire.moment(one.get("timestamp"))
    if not address or one.get("category") != "marketing_messages" or one.get("value") != "stop":
        return []
    return [OptOut(f"stop:{address}:{wire.ident(one.get('timestamp'))}", "stop in WhatsApp", address=address, at=at)]


def _person(value: Any) -> str:
    """+79... of a WhatsApp number; a business-scoped id as it is."""
    text = wire.ident(value)
    return f"+{text}" if text.isascii() and text.isdigit() and 5 < len(text) < 16 else text


def _hidden(body: Mapping[str, Any]) -> str:
    """The id of a person whose phone WhatsApp does not show (correction A25)."""
    contact = _first(body, "contacts")
    return "" if wire.ident(contact.get("wa_id")) else wire.ident(contact.get("user_id"))


def _first(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    return next(iter(_objects(value, name)), {})


def _objects(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = value.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
