"""Doors for the owner's app and site: register a device, report a receipt, our own page to subscribe on.

Open to the world like the rest of this package. What they cost an abuser: a wrong key is 404 before anything is read; each
address may ask so many times a minute; a receipt is stored only for a reference that exists in this channel, once for each
event; a device is kept only with a proof (deliveries.services.devices).
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from typing import Any

from csp.constants import NONE, SELF
from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from cascade.vocabulary import AddressKind
from channels.providers.base import CallbackRejected, CallbackRequest, Provider
from deliveries.public.views import body_of, door_of
from deliveries.services import devices, receipts

logger = logging.getLogger(__name__)

MAX_BODY = 16 * 1024
#: Calls a minute from one address, in one web process. Many phones of one operator share an address, and each reports
#: twice; registering is rare.
RECEIPTS_A_MINUTE = 1200
DEVICES_A_MINUTE = 60
#: Addresses remembered within a minute; beyond it the count starts anew, so that a flood cannot fill the memory.
ADDRESSES = 50_000

#: What our page and our service worker may do: run our script and talk to us.
_POLICY = {
    "default-src": [NONE],
    "script-src": [SELF],
    "connect-src": [SELF],
    "worker-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "data:", "https:"],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}


class Limit:
    """So many calls a minute from one address."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self._minute = 0
        self._seen: Counter[str] = Counter()

    def allows(self, address: str) -> bool:
        """Count this call; False when the address has had its share."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute or len(self._seen) > ADDRESSES:
            self._minute, self._seen = minute, Counter()
        self._seen[address] += 1
        return self._seen[address] <= self.calls


_receipts, _devices = Limit(RECEIPTS_A_MINUTE), Limit(DEVICES_A_MINUTE)


@csrf_exempt  # an app has no cookie; what it reports names a message only its reader knows
@require_http_methods(["POST", "OPTIONS"])
def receipt(request: HttpRequest, channel_id: int, key: str) -> HttpResponse:
    """The app shows a message, or the person opens it: {"ref": ..., "event": "delivered" | "opened"}."""
    provider = _provider(channel_id, key)
    if provider is None:
        return HttpResponse(status=404)
    if request.method == "OPTIONS":
        return _open(HttpResponse(status=204))
    told = _told(request, _receipts)
    if isinstance(told, HttpResponse):
        return _open(told)
    ref, event = told.get("ref"), told.get("event")
    if not isinstance(ref, str) or not isinstance(event, str) or not 0 < len(event) <= 20:
        return _open(HttpResponse(status=400))
    if not devices.is_ours(channel_id, ref):
        return _open(HttpResponse(status=404))
    # Written anew: the same event in another spelling is the same receipt.
    body = json.dumps({"event": event, "ref": ref}).encode()
    receipts.store(channel_id, CallbackRequest("POST", {}, {}, body))
    return _open(HttpResponse(status=204))


@csrf_exempt  # a registration carries its own proof
@require_http_methods(["POST", "DELETE", "OPTIONS"])
def device(request: HttpRequest, channel_id: int, key: str) -> HttpResponse:
    """POST keeps a device for a person, DELETE (or {"gone": true}) forgets it."""
    provider = _provider(channel_id, key)
    if provider is None:
        return HttpResponse(status=404)
    if request.method == "OPTIONS":
        return _open(HttpResponse(status=204))
    told = _told(request, _devices)
    if isinstance(told, HttpResponse):
        return _open(told)
    try:
        if request.method == "DELETE" or told.get("gone") is True:
            devices.forget(channel_id, provider, told)
        else:
            devices.register(channel_id, provider, told)
    except ValueError as error:
        logger.info("channel %s: a device that is none: %s", channel_id, error)
        return _open(HttpResponse(status=400))
    except devices.Refused:
        return _open(HttpResponse(status=403))
    return _open(HttpResponse(status=204))


@never_cache
@require_GET
@csp_replace(_POLICY)  # type: ignore[arg-type]  # its annotation knows views without arguments only
def join(request: HttpRequest, channel_id: int, key: str) -> HttpResponse:
    """Our own page to subscribe on, for an owner whose site cannot: reached by the link of a message (`m`)."""
    provider = _provider(channel_id, key)
    public_key = getattr(provider, "public_key", "")
    if provider is None or not public_key:
        return render(request, "deliveries/gone.html", status=404)
    title = getattr(provider.config, "title", "")
    return render(request, "deliveries/join.html", {"base": provider.app_url, "company": title})


@never_cache
@require_GET
@csp_replace(_POLICY)  # type: ignore[arg-type]  # its annotation knows views without arguments only
def script(request: HttpRequest, channel_id: int, key: str, name: str) -> HttpResponse:
    """client.js for pages, sw.js for the service worker, both knowing whose they are."""
    provider = _provider(channel_id, key)
    public_key = getattr(provider, "public_key", "")
    if provider is None or not public_key:
        return HttpResponse(status=404)
    facts = {"base": provider.app_url, "public_key": public_key}
    answer = render(request, f"deliveries/{name}", facts, content_type="text/javascript; charset=utf-8")
    return _open(answer)


def _provider(channel_id: int, key: str) -> Provider | None:
    """The adapter of a push channel whose public key this is."""
    door = door_of(channel_id)
    if door is None or door.adapter.capabilities.address is not AddressKind.DEVICE:
        return None
    try:
        door.adapter.verify_callback(CallbackRequest("POST", {"key": key}, {}, b""))
    except CallbackRejected:
        return None
    return door.adapter


def _told(request: HttpRequest, limit: Limit) -> dict[str, Any] | HttpResponse:
    """The JSON object in the body, whatever its content type: browsers ask first about any but plain text."""
    if not limit.allows(str(request.META.get("REMOTE_ADDR", ""))):
        return HttpResponse(status=429, headers={"Retry-After": "60"})
    body = body_of(request, MAX_BODY)
    if body is None:
        return HttpResponse(status=413)
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return HttpResponse(status=400)
    return told if isinstance(told, dict) else HttpResponse(status=400)


def _open(answer: HttpResponse) -> HttpResponse:
    """Readable from any site: there is no cookie and nothing private in it."""
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Access-Control-Allow-Methods"] = "GET, POST, DELETE, OPTIONS"
    answer["Access-Control-Allow-Headers"] = "Content-Type"
    answer["Access-Control-Max-Age"] = "86400"
    return answer
