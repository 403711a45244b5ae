"""Encryption of web push messages: RFC 8291 over RFC 8188 (aes128gcm), one record. Pure.

The sender's key pair and the salt must never be used for two messages. They are derived here from what makes a message
unique instead of drawn at random, so that building a request stays a function (the idea of RFC 6979): from a secret of the
sender's, the message's reference, and everything that is encrypted. The same message twice gives the same bytes; any other
message gives other keys.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE: Final = ec.SECP256R1()
#: Order of the curve's group: private keys are numbers from 1 to this, exclusive.
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
RECORD: Final = 4096
#: Header (salt, record size, key) and what encryption adds: padding delimiter and tag.
OVERHEAD: Final = 16 + 4 + 1 + 65 + 1 + 16
#: The longest plaintext that every push service must take (RFC 8030, 7.2).
MAX_PLAINTEXT: Final = RECORD - OVERHEAD


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """The uncompressed point: 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def derived(secret: bytes, ref: str, plaintext: bytes, receiver: bytes) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """The sender's key pair and the salt for this message, and for no other."""
    told = hashlib.sha256(struct.pack(">I", len(receiver)) + receiver + plaintext).digest()
    seed = hmac.new(secret, b"web push " + ref.encode() + told, "sha512").digest()
    number = int.from_bytes(seed[:48], "big") % (_ORDER - 1) + 1
    return ec.derive_private_key(number, CURVE), seed[48:]


def encrypt(
    plaintext: bytes, receiver: bytes, auth: bytes, *, sender: ec.EllipticCurvePrivateKey, salt: bytes
) -> bytes:
    """The body of the request. `receiver`: the subscription's p256dh, `auth`: its secret. Raises ValueError for a key
    that is no point of the curve."""
    public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, receiver)
    mine = public_bytes(sender.public_key())
    shared = sender.exchange(ec.ECDH(), public)
    keyed = _expand(_mac(auth, shared), b"WebPush: info\0" + receiver + mine, 32)
    secret = _mac(salt, keyed)
    key = _expand(secret, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _expand(secret, b"Content-Encoding: nonce\0", 12)
    record = max(RECORD, len(plaintext) + OVERHEAD)
    sealed = AESGCM(key).encrypt(nonce, plaintext + b"\x02", None)
    return salt + struct.pack(">IB", record, len(mine)) + mine + sealed


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, "sha256").digest()


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand for one block."""
    return _mac(key, info + b"\x01")[:length]
