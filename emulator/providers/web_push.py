"""A push service and the browsers behind it (RFC 8030, 8291, 8292), mounted at /web_push/<host>/send/<person>.

A person's browser has keys made from the person's name, so that anybody can subscribe it: GET /web_push/subscription/<person>
names a subscription. A message is checked as a push service does (signature for this host, TTL, size) and opened as the
browser does; the journal holds what the person would read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
from typing import Any
from urllib.parse import unquote

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, front_refusal
from emulator.providers.push import receipt
from emulator.world import Message, Sending, Wanted

HOST = "push.emulated.example"
#: answer -> (HTTP status, body)
REFUSALS = {
    "refused": (410, b"push subscription has unsubscribed or expired."),
    "blocked": (400, b'{"reason":"VapidPkHashMismatch"}'),
    "unauthorized": (403, b'{"reason":"BadJwtToken"}'),
    "no_balance": (403, b'{"reason":"BadJwtToken"}'),
    "error_json": (413, b""),
}


def _key(person: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(b"browser " + person.encode()).digest()), ec.SECP256R1())


def _auth(person: str) -> bytes:
    return hashlib.sha256(b"auth " + person.encode()).digest()[:16]


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def subscription(person: str, host: str = HOST) -> dict[str, Any]:
    """What PushManager.subscribe() gives in this person's browser."""
    public = _key(person).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {"p256dh": _encode(public), "auth": _encode(_auth(person))}
    return {"endpoint": f"https://{host}/send/{person}", "expirationTime": None, "keys": keys}


def opened(person: str, body: bytes) -> bytes:
    """The message as this person's browser reads it. Raises ValueError for what it could not."""
    salt, (_, length) = body[:16], struct.unpack(">IB", body[16:21])
    sender, sealed = body[21 : 21 + length], body[21 + length :]
    mine = _key(person)
    public = mine.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = mine.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    keyed = _hkdf(_auth(person), shared, b"WebPush: info\0" + public + sender, 32)
    key = _hkdf(salt, keyed, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, keyed, b"Content-Encoding: nonce\0", 12)
    try:
        padded = AESGCM(key).decrypt(nonce, sealed, None)
    except InvalidTag:
        raise ValueError("not for this browser: wrong tag") from None
    return padded.rstrip(b"\0").removesuffix(b"\x02")


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


class WebPush(HttpProvider):
    name = "web_push"

    def handle(self, request: Request, path: str) -> None:
        host, _, rest = path.lstrip("/").partition("/")
        if host == "subscription":
            request.reply_json(subscription(unquote(rest)))
            return
        who = _signer(request.header("Authorization"), f"https://{host}")
        person = rest.rpartition("/")[2]
        if who is None or not request.header("TTL").isdigit():
            self.world.other(self.name, "not signed for us" if person != "cascade-self-test" else "self-test", request)
            request.reply(404 if person == "cascade-self-test" else 403, b'{"reason":"BadJwtToken"}')
            return
        account = self.world.account(self.name, who)
        try:
            told = json.loads(opened(person, request.body))
        except ValueError:
            self.world.other(self.name, "cannot be opened", request)
            request.reply(400, b'{"reason":"BadEncryption"}')
            return
        if len(request.body) > 4096:
            self.world.other(self.name, "too large", request)
            request.reply(413, b"")
            return
        ttl = float(request.header("TTL"))
        wanted = Wanted(person, str(told.get("body", "")), ref=str(told.get("ref", "")), ttl=ttl)
        self.world.take(request, self, account, [wanted])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return Reply(b"", 201, "text/plain", f"Location: https://{HOST}/m/{messages[0].id}\r\n")

    def refusal(self, sending: Sending, answer: str) -> Reply:
        if answer in REFUSALS:
            status, body = REFUSALS[answer]
            return Reply(body, status)
        return front_refusal(answer) or Reply(b"", 400)

    def receipt(self, message: Message, status: str) -> Hook | None:
        return receipt(message, status)


def _signer(header: str, audience: str) -> str | None:
    """The public key a request is signed with, if the signature holds for this push service."""
    parts = dict(part.strip().partition("=")[::2] for part in header.removeprefix("vapid ").split(","))
    key = parts.get("k", "")
    try:
        raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
        claims = jwt.decode(parts.get("t", ""), public, algorithms=["ES256"], audience=audience)
    except (ValueError, jwt.PyJWTError):
        return None
    right = str(claims.get("sub", "")).startswith(("mailto:", "https:"))
    return hmac.new(b"account", key.encode(), "sha256").hexdigest()[:10] if right else None
