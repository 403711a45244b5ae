"""The public views: thin over deliveries.services.receipts."""

from __future__ import annotations

import hmac
import logging
import time
from dataclasses import dataclass

from csp.constants import SELF
from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from channels.models import Channel
from channels.providers.base import CallbackRejected, CallbackRequest, Provider
from channels.services.accounts import AccountError, adapter_for
from deliveries.services import clicks, receipts

logger = logging.getLogger(__name__)

#: Larger than any receipt we know; refused before it is read into memory twice (W3).
MAX_CALLBACK = 256 * 1024
#: An owner's change of a channel is seen by this process within so many seconds. A query per callback instead would
#: cost as much as storing it (measured: a second statement halves the rate).
_REMEMBER = 10.0


@dataclass(frozen=True, slots=True)
class _Door:
    adapter: Provider
    secret: str
    seen: float


_doors: dict[int, _Door] = {}


def door_of(channel_id: int) -> _Door | None:
    """The adapter and the secret of a channel, as this process last saw them; None for one that cannot be used."""
    known = _doors.get(channel_id)
    if known is not None and time.monotonic() - known.seen < _REMEMBER:
        return known
    channel = Channel.objects.filter(pk=channel_id).first()
    if channel is None:
        return None
    try:
        door = _Door(adapter_for(channel), channel.callback_secret, time.monotonic())
    except AccountError as error:
        logger.warning("callback of channel %s refused: %s", channel_id, error)
        return None
    _doors[channel_id] = door
    return door


def body_of(request: HttpRequest, most: int = MAX_CALLBACK) -> bytes | None:
    """The body of a callback; None for one that is larger than `most` bytes (W3).

    Django reads as many bytes as Content-Length names: of a request sent in chunks, which names none, it would see
    an empty body, and a receipt would be lost. The server knows where the chunks end.
    """
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length and "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        body: bytes = request.META["wsgi.input"].read(most + 1)
        return body if len(body) <= most else None
    if length and (not length.isdigit() or int(length) > most):
        return None
    return request.body


@csrf_exempt
@require_http_methods(["GET", "POST"])
def callback(request: HttpRequest, channel_id: int, secret: str) -> HttpResponse:
    """A provider tells us something: verify, store, answer. What it means is found out later, in batches."""
    door = door_of(channel_id)
    if door is None or not hmac.compare_digest(secret.encode(), door.secret.encode()):
        return HttpResponse(status=404)
    body = body_of(request)
    if body is None:
        return HttpResponse(status=413)
    asked = CallbackRequest(
        method=request.method or "",
        query=request.GET.dict(),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        source=request.META.get("REMOTE_ADDR", ""),
    )
    try:
        door.adapter.verify_callback(asked)
    except CallbackRejected:
        logger.warning("callback of channel %s has a wrong signature", channel_id)
        return HttpResponse(status=403)
    receipts.store(channel_id, asked)
    status, text = door.adapter.callback_reply(asked)
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


@never_cache
@csrf_exempt  # posted by the page's own script, from a mail program's browser without our cookie; the address is the secret
@csp_update({"script-src": [SELF], "connect-src": [SELF]})  # type: ignore[arg-type]  # its types know no arguments of a view
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest, ref: str) -> HttpResponse:
    """A tracked link: lead where the frozen plan says, and find out whether a person follows it (services.clicks)."""
    if request.method == "POST":
        return HttpResponse(status=204 if clicks.confirm(ref) else 404)
    way = clicks.follow(ref, request.headers.get("User-Agent", ""), counts=request.method == "GET")
    if way is None:
        return render(request, "deliveries/gone.html", status=404)
    target = _with_message(way.target, ref)
    if way.confirm:
        return render(request, "deliveries/opening.html", {"target": target})
    return HttpResponseRedirect(target)


def _with_message(target: str, ref: str) -> str:
    """Our own page to subscribe on (deliveries.public.apps) is told which message brought the person; no other page is."""
    if not target.startswith(f"{settings.PUBLIC_BASE_URL}/app/"):
        return target
    return f"{target}{'&' if '?' in target else '?'}m={ref}"


@never_cache
@require_http_methods(["GET", "HEAD"])
def trap(request: HttpRequest, ref: str) -> HttpResponse:
    """A link no person can see: what opens it opens everything."""
    if request.method == "GET":
        clicks.fall_into_trap(ref)
    return render(request, "deliveries/gone.html", status=404)


@never_cache
@csrf_exempt  # RFC 8058: the mail program posts without a cookie; the address itself is the secret
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, ref: str) -> HttpResponse:
    """GET shows a page with a button, POST does it (also the mail program's one click, RFC 8058)."""
    if request.method != "POST":
        if not clicks.look_at_unsubscribe(ref):
            return render(request, "deliveries/gone.html", status=404)
        return render(request, "deliveries/unsubscribe.html")
    one_click = request.POST.get("List-Unsubscribe") == "One-Click"
    evidence = "one-click unsubscribe of the mail program" if one_click else "button on the unsubscribe page"
    if not receipts.unsubscribe(ref, evidence):
        return render(request, "deliveries/gone.html", status=404)
    return render(request, "deliveries/unsubscribed.html")
