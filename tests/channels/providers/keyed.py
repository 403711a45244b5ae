"""Callbacks to an address of one message (wire.message_callback_url): what the providers that sign nothing get."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from channels.providers.base import CallbackRequest
from channels.providers.wire import message_callback_url
from tests.channels.providers.contract import CALLBACK_SECRET, REF


def keyed(request: CallbackRequest) -> CallbackRequest:
    """The same callback at the address REF's message named."""
    address = message_callback_url("https://example.org/hooks/1/x/", CALLBACK_SECRET, REF)
    return replace(request, query={**request.query, **dict(parse_qsl(urlsplit(address).query))})


def spoilt(request: CallbackRequest) -> list[CallbackRequest]:
    """Its key wrong by one character, cut, longer, in another case, empty and missing; its reference too."""
    key, ref = request.query["key"], request.query["ref"]
    wrong = ("0" if key[0] != "0" else "1") + key[1:]
    queries = [{"ref": ref, "key": each} for each in (wrong, key[:-1], key + "0", key.upper(), "")]
    queries += [{"ref": ref}, {"key": key}, {"ref": "B" * 22, "key": key}, {"ref": "", "key": key}, {}]
    return [replace(request, query=query) for query in queries if query != request.query]
