"""What every HTTP adapter needs to read a wire it does not trust. Pure; knows no provider.

Provider answers are untrusted input (threat T29): any bytes may come, from anybody. Nothing here raises on
them, except where the docstring says so.
"""

from __future__ import annotations

import email
import hmac
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from cascade.vocabulary import FailureClass, Reason
from channels.providers.base import (
    N_,
    AccountReport,
    Answer,
    Call,
    CallbackRejected,
    CallbackRequest,
    Failed,
    NoAnswer,
    SendResult,
    Token,
)

#: A provider may ask to wait for hours (seen: 10,072 s at Telegram); beyond this the owner should know.
MAX_RETRY_AFTER: Final = timedelta(hours=1)
#: Attempt.detail and log lines are one-liners.
MAX_DETAIL: Final = 300
#: Attempt.provider_message_id and Attempt.address hold this much.
MAX_IDENT: Final = 200
MAX_PROSE: Final = 20_000
#: What a JSON body is when it is not JSON (None is a legal body).
UNREADABLE: Final = object()

_SPACES = re.compile(r"\s+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
_TAGS = re.compile(r"<[^>]{0,300}>")
#: Shape of OutgoingMessage.ref: tells our own ids from the provider's where a wire echoes both in one field.
OUR_REF: Final = re.compile(r"[A-Za-z0-9_-]{22}")


def parse_json(body: bytes) -> Any:
    """The JSON value in `body`, or UNREADABLE."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        return UNREADABLE


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`, or None when it is anything else."""
    value = parse_json(body)
    return value if isinstance(value, dict) else None


def get_dict(value: Any, *path: str) -> dict[str, Any]:
    """`value[a][b]...` when everything on the way is an object, else {}."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def scalar(value: Any) -> str:
    """A string or a number as its exact text; everything else (None, lists, objects, booleans) as "".

    Without NUL and half surrogates: JSON can carry them, PostgreSQL cannot.
    """
    if isinstance(value, str):
        if value.isascii():
            return value.replace("\0", "") if "\0" in value else value
        return value.encode("utf-8", "replace").decode().replace("\0", "")
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        try:
            return str(value)
        except ValueError:  # more than 4,300 digits
            return ""
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else repr(value)
    return ""


def ident(value: Any) -> str:
    """An id or an address as its exact text; "" when it is missing or longer than anything we could store."""
    text = scalar(value).strip()
    return text if len(text) <= MAX_IDENT else ""


def prose(value: Any) -> str:
    """What a person wrote, cut at what a message may hold."""
    return scalar(value)[:MAX_PROSE]


def number(value: Any) -> int | None:
    """A whole number sent as a number or as a string; None for everything else."""
    words = scalar(value).strip()
    if len(words) > 20:
        return None
    try:
        return int(words)
    except ValueError:
        return None


def money(value: Any) -> Decimal | None:
    """A non-negative finite amount below a million million; None for everything else."""
    try:
        amount = Decimal(scalar(value).strip().replace(",", "."))
    except InvalidOperation:
        return None
    if not amount.is_finite() or amount < 0 or amount >= 10**12:
        return None
    return amount


def moment(value: Any) -> datetime | None:
    """A unix time in seconds as an aware UTC moment; None for everything else."""
    seconds = number(value)
    if seconds is None or not 0 < seconds < 32_503_680_000:  # year 3000
        return None
    return datetime.fromtimestamp(seconds, tz=UTC)


def iso_moment(value: Any) -> datetime | None:
    """An ISO 8601 moment with a zone; None for everything else: without its zone it could be hours away."""
    try:
        found = datetime.fromisoformat(scalar(value).strip())
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def same(given: str, expected: str) -> bool:
    """Constant-time equality; an empty expectation never matches."""
    return bool(expected) & hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))


def words(body: bytes, secrets: Iterable[str] = ()) -> str:
    """A body as one short line for people: decoded, without tags, control characters and secrets."""
    return scrub(_TAGS.sub(" ", body[:4096].decode("utf-8", "replace")), secrets)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` as one line without control characters and without any of `secrets`, at most MAX_DETAIL long."""
    text = scalar(text)
    for secret in secrets:
        if len(secret) > 3:  # a shorter one would only mangle the words around it
            text = text.replace(secret, "***")
    return _SPACES.sub(" ", _CONTROLS.sub(" ", text)).strip()[:MAX_DETAIL]


def retry_after(headers: Mapping[str, str], body_seconds: Any = None) -> timedelta | None:
    """How long the provider asks to wait: its body's figure, else Retry-After in seconds or as a date.

    At most MAX_RETRY_AFTER; None when absent, negative or nonsense. A date is measured from the answer's own
    Date header: adapters have no clock.
    """
    seconds = number(body_seconds)
    header = headers.get("retry-after", "").strip()
    if seconds is None and header:
        seconds = number(header)
        if seconds is None:
            then, now = _http_date(header), _http_date(headers.get("date", ""))
            if then and now:
                seconds = math.ceil((then - now).total_seconds())
    if seconds is None or seconds < 0:
        return None
    return min(timedelta(seconds=min(seconds, 10**6)), MAX_RETRY_AFTER)


def _http_date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def failures(
    call: Call,
    failure: FailureClass,
    detail: str = "",
    *,
    reason: Reason | None = None,
    wait: timedelta | None = None,
) -> list[SendResult]:
    """The same refusal for every message of a call."""
    return [Failed(ref=ref, failure=failure, reason=reason, detail=detail, retry_after=wait) for ref in call.refs]


def not_answered(call: Call, answer: Answer) -> list[SendResult] | None:
    """Results when there is no usable answer: a retry where the request did not leave, else R8. None: there is one.

    A certificate nobody trusts is trouble of the account: it stays so until somebody does something.
    """
    if answer.no_answer is NoAnswer.NOT_SENT and answer.untrusted:
        return failures(call, FailureClass.AUTH, answer.detail)
    if answer.no_answer is NoAnswer.NOT_SENT:
        return failures(call, FailureClass.TRANSIENT, answer.detail or "not sent")
    if answer.no_answer is not None:
        return failures(call, FailureClass.OUTCOME_UNKNOWN, answer.detail or "no answer")
    return None


def is_whole(answer: Answer) -> bool:
    """A whole answer with 200: one that a question's reader may believe."""
    return answer.no_answer is None and not answer.truncated and answer.status == 200


def by_http_status(answer: Answer) -> FailureClass:
    """What an HTTP status means when the body explains nothing.

    5xx is OUTCOME_UNKNOWN: the request was complete, and nobody promises that a 5xx sent nothing. A redirect is
    the address's trouble (301, 307, 308 say "not done here") or says nothing about what was done (302, 303).
    """
    status = answer.status
    if status in {401, 403, 407, 301, 307, 308}:
        return FailureClass.AUTH
    if status == 402:
        return FailureClass.BALANCE
    if status == 429:
        return FailureClass.RATE_LIMITED
    return FailureClass.OUTCOME_UNKNOWN


def by_status_results(call: Call, answer: Answer, secrets: Iterable[str]) -> list[SendResult]:
    """by_http_status() for every message of the call, with the provider's words."""
    failure = by_http_status(answer)
    wait = retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
    return failures(call, failure, f"HTTP {answer.status}: {words(answer.body, secrets)}"[:MAX_DETAIL], wait=wait)


def read_oauth_token(answer: Answer, secrets: Iterable[str]) -> Token | Failed:
    """The access token of an OAuth 2 answer (RFC 6749, 5.1 and 5.2), or why there is none.

    Nothing was sent to anybody, so a lost answer is only tried again. 400 and 401 are about what was asked with.
    """
    if answer.no_answer is not None:
        failure = FailureClass.AUTH if answer.untrusted else FailureClass.TRANSIENT
        return Failed("", failure, detail=scrub(f"no access token: {answer.detail}", secrets))
    body = (json_object(answer.body) if not answer.truncated else None) or {}
    value, seconds = scalar(body.get("access_token")), number(body.get("expires_in"))
    if answer.status == 200 and value and value.isascii() and value.isprintable() and " " not in value:
        return Token(value, timedelta(seconds=min(max(seconds if seconds is not None else 3600, 60), 10**7)))
    failure = by_http_status(answer)
    if answer.status == 400:
        failure = FailureClass.AUTH  # invalid_client, invalid_grant: RFC 6749 says them with 400
    elif failure is FailureClass.OUTCOME_UNKNOWN:
        failure = FailureClass.TRANSIENT
    wait = retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
    detail = scrub(f"no access token: HTTP {answer.status} {words(answer.body, secrets)}", secrets)
    return Failed("", failure, detail=detail, retry_after=wait)


# ---------------------------------------------------------------- callbacks


def form_fields(body: bytes) -> list[tuple[str, str]]:
    """Names and values of a form, urlencoded or multipart, in the order they came; [] for what is none.

    Works on a stored callback, whose headers are gone: a multipart body begins with its own boundary.
    """
    if body.startswith(b"--"):
        return _multipart_fields(body)
    try:
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        return []


def _multipart_fields(body: bytes) -> list[tuple[str, str]]:
    boundary = body[2 : 2 + 200].partition(b"\n")[0].strip()
    if not boundary or b'"' in boundary:
        return []
    letter = email.message_from_bytes(b'Content-Type: multipart/form-data; boundary="%s"\r\n\r\n%s' % (boundary, body))
    found = []
    for part in letter.walk():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            found.append((name, value.decode("utf-8", "replace")))
    return found


def callback_fields(request: CallbackRequest) -> dict[str, Any]:
    """What a callback says, wherever it says it: a JSON object, a form, or the query. Raises ValueError for nothing."""
    fields: dict[str, Any] = dict(request.query)
    fields |= json_object(request.body) or dict(form_fields(request.body))
    if not fields:
        raise ValueError("an empty callback")
    return fields


def message_callback_url(url: str, secret: str, ref: str) -> str:
    """The callback address for one message, where the wire takes one with every message.

    It carries our reference (so that a receipt finds its message even when the answer to the send was lost) and a
    key that only we can make: such providers sign nothing, and a callback about a message can then come only from
    whom we gave this address to.
    """
    return f"{url}?{urlencode({'ref': ref, 'key': _message_key(secret, ref)})}"


def verify_message_key(request: CallbackRequest, secret: str) -> None:
    """The callback came to an address made by message_callback_url(), or CallbackRejected is raised."""
    ref = message_ref(request)
    if not secret or not ref or not same(request.query.get("key", ""), _message_key(secret, ref)):
        raise CallbackRejected


def message_ref(request: CallbackRequest) -> str:
    """The reference in such an address, verified at the door and kept with the callback; "" where there is none."""
    ref = request.query.get("ref", "")
    return ref if OUR_REF.fullmatch(ref) else ""


def _message_key(secret: str, ref: str) -> str:
    return hmac.new(secret.encode(), ref.encode(), "sha256").hexdigest()[:32]


def app_key(secret: str) -> str:
    """What names an account to the owner's app or site: it stands in pages anybody may read, so it is made from the
    account's secret and does not tell it. "" for an account without one."""
    return hmac.new(secret.encode(), b"app", "sha256").hexdigest()[:24] if secret else ""


def app_signing_key(secret: str) -> str:
    """What the owner's server signs registrations of devices with (docs/channels/app.md); changes with the secret."""
    return hmac.new(secret.encode(), b"app signature", "sha256").hexdigest() if secret else ""


# ---------------------------------------------------------------- the account, in words


#: Updates of one question for news: so many of the longest fit into an answer.
PULL_LIMIT: Final = 20


def pull_place(cursor: str) -> tuple[str, int]:
    """Where a question for news goes on, and how many updates it may bring: one alone, where the answer before was too
    long to be read whole (see too_long)."""
    place, _, alone = cursor.partition("/")
    return place, 1 if alone else PULL_LIMIT


def too_long(place: str) -> str:
    """The cursor that asks again from the same place for one update alone."""
    return f"{place}/1"


def as_callback(update: Any) -> CallbackRequest:
    """An update we asked for, as it would have been called back."""
    return CallbackRequest("POST", {}, {}, json.dumps(update).encode())


def unreachable(answer: Answer) -> AccountReport:
    """There was no answer to a question about the account."""
    return AccountReport(
        ok=False,
        message=N_("The provider does not answer: %(detail)s. Check the network of this server, then try again."),
        params={"detail": answer.detail},
        failure=FailureClass.TRANSIENT,
    )


def balance_report(balance: Decimal) -> AccountReport:
    """The account answered with its balance: the credentials work, and there is money or not."""
    if balance == 0:
        return AccountReport(
            ok=False,
            message=N_("The account works but is empty. Top it up in the cabinet."),
            balance=balance,
            failure=FailureClass.BALANCE,
        )
    return AccountReport(
        ok=True,
        message=N_("The account works. Balance: %(balance)s."),
        params={"balance": str(balance)},
        balance=balance,
    )


def trouble_report(answer: Answer, failure: FailureClass, secrets: Iterable[str]) -> AccountReport:
    """The account's question was refused, or answered with something nobody has documented."""
    message = {
        FailureClass.AUTH: N_(
            "The provider refuses the login or the key. Check both in its cabinet, and whether it allows only certain "
            "IP addresses."
        ),
        FailureClass.BALANCE: N_("The provider says that there is no money on the account. Top it up in the cabinet."),
        FailureClass.RATE_LIMITED: N_("The provider asks us to slow down. Try again in a minute."),
    }.get(failure, N_("The provider answers something unexpected: %(detail)s. Check the address of the API."))
    params = {"detail": scrub(f"HTTP {answer.status} {words(answer.body, secrets)}", secrets)}
    return AccountReport(ok=False, message=message, params=params, failure=failure)
