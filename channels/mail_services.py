"""Mail services through django-anymail: it writes their requests and reads their answers and webhooks; it sends nothing.

Anymail's backends know a dozen APIs, and send through `requests`, which follows redirects, obeys proxies of the environment
and connects wherever a name leads. So only the two ends of a backend are used (docs/adr, "Mail services by both ends of a
library"): the request it would send becomes an HttpCall for the seam, and what came back is given to it to be read. Settings
are those of one account, given to the backend by hand; nothing is read from Django's.

The library needs Django, so adapters cannot use it: they build ServiceCalls, and get a reader of webhooks from
channels.services.accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from typing import Any, Final

from django.core.handlers.wsgi import WSGIRequest
from django.utils.module_loading import import_string

from channels.providers.base import Answer, CallbackRequest, HttpCall, ServiceCall, ServiceEvent

#: Name of our reference in the metadata of a letter.
REF: Final = "cascade_ref"

#: service -> (backend, webhook view, what the view wants to be given although nothing here asks it to verify)
SERVICES: Final[dict[str, tuple[str, str, Mapping[str, str]]]] = {
    "unisender_go": (
        "unisender_go.EmailBackend",
        "unisender_go.UnisenderGoTrackingWebhookView",
        {"api_key": "-"},
    ),
    "mailgun": ("mailgun.EmailBackend", "mailgun.MailgunTrackingWebhookView", {"webhook_signing_key": "-"}),
    "postmark": ("postmark.EmailBackend", "postmark.PostmarkTrackingWebhookView", {}),
    "brevo": ("brevo.EmailBackend", "brevo.BrevoTrackingWebhookView", {}),
    "sendgrid": ("sendgrid.EmailBackend", "sendgrid.SendGridTrackingWebhookView", {}),
    "mailjet": ("mailjet.EmailBackend", "mailjet.MailjetTrackingWebhookView", {}),
    "sparkpost": ("sparkpost.EmailBackend", "sparkpost.SparkPostTrackingWebhookView", {}),
    "resend": ("resend.EmailBackend", "resend.ResendTrackingWebhookView", {}),
    "mailersend": (
        "mailersend.EmailBackend",
        "mailersend.MailerSendTrackingWebhookView",
        {"signing_secret": "-"},
    ),
    "mailtrap": ("mailtrap.EmailBackend", "mailtrap.MailtrapTrackingWebhookView", {}),
    "mandrill": ("mandrill.EmailBackend", "mandrill.MandrillCombinedWebhookView", {"webhook_key": "-"}),
}
#: What the library trips over in a body that is none of the service's.
_FOREIGN: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError, OverflowError)


@dataclass(frozen=True, slots=True)
class Written:
    """A request, and what is needed to read its answer."""

    request: HttpCall
    backend: Any
    payload: Any
    message: Any


def write(call: ServiceCall) -> Written | Answer:
    """The letter as the service's request, or the answer that it cannot be written."""
    # Imported at first use: a worker that sends no such letter does without the library and its HTTP client.
    import requests  # noqa: PLC0415
    from anymail.exceptions import AnymailError, AnymailInvalidAddress  # noqa: PLC0415
    from django.core.mail import EmailMultiAlternatives  # noqa: PLC0415

    settings: dict[str, Any] = dict(call.settings)
    if call.base_url:
        settings["api_url"] = call.base_url
    message: Any = EmailMultiAlternatives(
        _whole(call.subject),
        _whole(call.text),
        call.sender,
        [call.recipient],
        headers=dict(call.headers),
        reply_to=[call.reply_to] if call.reply_to else None,
    )
    if call.html:
        message.attach_alternative(_whole(call.html), "text/html")
    message.metadata = {REF: call.refs[0]} if call.refs else {}
    # Our own link says who followed it; a service's pixel and its rewritten links say less and look like spam.
    message.track_opens = message.track_clicks = False
    if call.more:
        message.esp_extra = dict(call.more)
    try:
        # A service without metadata or tracking is used without.
        backend = _class("backends", SERVICES[call.service][0])(ignore_unsupported_features=True, **settings)
        payload = backend.build_message_payload(message, {})
        prepared = requests.Request(**payload.get_request_params(backend.api_url)).prepare()
    except AnymailInvalidAddress as error:
        return _not_written(553, error)
    except (AnymailError, requests.RequestException, *_FOREIGN) as error:
        return _not_written(550, error)
    body: Any = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    headers = {name: str(value) for name, value in prepared.headers.items() if name.lower() != "content-length"}
    request = HttpCall(prepared.method or "POST", prepared.url or "", headers=headers, body=body, refs=call.refs)
    return Written(request, backend, payload, message)


def understand(written: Written, answer: Answer) -> Answer:
    """The service's answer with the library's reading of it."""
    from anymail.exceptions import AnymailError  # noqa: PLC0415 - see write()
    from requests import Response  # noqa: PLC0415

    headers = {name: value for name, value in answer.headers.items() if not name.startswith("service-")}
    answer = replace(answer, headers=headers)
    if answer.no_answer is not None or answer.truncated:
        return answer
    response = Response()
    response.status_code = answer.status
    response.headers.update(headers)
    response.raw = BytesIO(answer.body)
    try:
        written.backend.raise_for_status(response, written.payload, written.message)
        told = written.backend.parse_recipient_status(response, written.payload, written.message)
        (status,) = told.values()
    except (AnymailError, *_FOREIGN):
        return answer
    read = {"service-status": str(status.status or ""), "service-id": str(status.message_id or "")}
    return replace(answer, headers={**headers, **read})


def read_events(service: str, request: CallbackRequest) -> list[ServiceEvent]:
    """What a stored webhook tells. Raises ValueError for a body that is none of this service's.

    Nothing is verified here: the request has been at the door (Provider.verify_callback).
    """
    view_class, given = _class("webhooks", SERVICES[service][1]), SERVICES[service][2]
    # webhook_secret: unused, and keeps the library from warning that nobody checks one.
    view = view_class(webhook_secret="-", **given)  # noqa: S106
    try:
        return [_event(one) for one in view.parse_events(_as_django(request))]
    except RecursionError as error:
        raise ValueError("nested without end") from error
    except _FOREIGN as error:
        raise ValueError(f"not a webhook of {service}: {type(error).__name__}") from error
    except Exception as error:  # the library's own complaint (another webhook's address) is no ValueError
        if type(error).__module__.startswith("anymail."):
            raise ValueError(f"not a webhook of {service}: {type(error).__name__}") from error
        raise


def _event(event: Any) -> ServiceEvent:
    metadata = event.metadata if isinstance(event.metadata, dict) else {}
    return ServiceEvent(
        kind=str(event.event_type or ""),
        message_id=str(event.message_id or ""),
        ref=str(metadata.get(REF) or ""),
        recipient=str(event.recipient or ""),
        reason=str(event.reject_reason or ""),
        word=str(event.description or "") or _own_word(event),
        words=str(event.mta_response or ""),
        ident=str(event.event_id or ""),
        at=event.timestamp,
    )


def _own_word(event: Any) -> str:
    """The service's word for an event the library has none for: somebody will want to know it."""
    told = event.esp_event if isinstance(event.esp_event, dict) else {}
    if event.event_type != "unknown":
        return ""
    return next((str(told[name]) for name in ("status", "event", "RecordType", "type") if told.get(name)), "")


def _as_django(request: CallbackRequest) -> WSGIRequest:
    """The stored request as the library expects it; its headers were not kept, and its kind is seen by its first byte."""
    json = request.body.lstrip()[:1] in {b"{", b"["}
    return WSGIRequest(
        {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": "application/json" if json else "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(request.body)),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "443",
            "wsgi.input": BytesIO(request.body),
        }
    )


def _whole(text: str) -> str:
    """Without half characters, which no encoding can carry."""
    return text.encode("utf-8", "replace").decode()


def _not_written(status: int, error: Exception) -> Answer:
    words = str(error).partition("\n")[0][:300]
    return Answer(status=status, headers={"service-stage": "compose"}, body=words.encode("utf-8", "replace"))


@cache
def _class(package: str, name: str) -> Any:
    return import_string(f"anymail.{package}.{name}")
