"""ONE-TIME CODES: issue, deliver, verify. Only an entered code proves that it arrived.

    issued = codes.issue("+79120000000", "login")       # Issued(token, ...) or NotIssued(why, wait)
    codes.verify(issued.token, "4821")                  # Verdict.ENTERED, WRONG, LOCKED, OVER, UNKNOWN

The code travels as an ordinary delivery along the chain of its rules (flash call, Telegram Gateway, SMS with the same
digits), each step waiting its time; entering it ends the delivery as reached by its goal, and nothing more is sent.
Where a provider picks the digits itself, they join ours: the person may enter whichever reached them, and later steps
carry the newest.

The digits are in no log and on no page. The database has an HMAC of them (key: SECRET_KEY, salted with the code's own
token, so that equal digits look different), and while a step may still need them, the digits encrypted with the keys
of the channels; these are erased when the code is over.

Guessing: tries are counted down under the code's row lock before anything is compared, so parallel guesses cannot
share one. Flooding (somebody else's phone rung all night, numbers that pay for each SMS): a pause and a number an hour
for each phone, a number an hour for all, counted under locks.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography.fernet import InvalidToken
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from cascade.vocabulary import Milestone, Reason
from channels.services.accounts import seal_text, unseal_text
from contacts.models import Contact, SuppressionScope
from contacts.phones import Phone, normalise
from deliveries.models import Attempt, AttemptState, CodeEnd, CodeRules, OneTimeCode
from deliveries.services.decisions import database_now
from deliveries.services.launch import create_delivery
from deliveries.services.plans import freeze_codes
from deliveries.services.reports import raise_milestone
from deliveries.services.stops import stop_of_delivery

#: A code's fate is evidence in a quarrel, and a phone is personal data: kept this long.
KEPT = timedelta(days=30)
HOUR = timedelta(hours=1)
#: Codes whose time is over are ended so many at a time.
BATCH = 500


class Refusal(StrEnum):
    """Why no code was made."""

    BAD_PHONE = "bad_phone"
    STOP_LIST = "stop_list"  #: this phone gets nothing at all
    TOO_SOON = "too_soon"  #: the pause since the code before is not over
    TOO_MANY = "too_many"  #: this phone has had its codes of this hour
    BUSY = "busy"  #: all codes of this hour are used up: somebody asks for too many, or the limit is too low


class Verdict(StrEnum):
    """What became of an entered code."""

    ENTERED = "entered"  #: right: the phone is this person's
    WRONG = "wrong"  #: tries are left
    LOCKED = "locked"  #: wrong, and it was the last try, or there was none left
    OVER = "over"  #: too late, entered before, or another code was asked for since
    UNKNOWN = "unknown"  #: nobody was given such a token


@dataclass(frozen=True, slots=True)
class Issued:
    """A code is on its way. `token` names it to verify(); nothing here tells its digits."""

    token: str
    delivery_id: int
    expires_at: datetime
    #: The same phone may ask again from now in.
    next_after: timedelta


@dataclass(frozen=True, slots=True)
class NotIssued:
    why: Refusal
    #: When asking again makes sense; None: not with this phone.
    wait: timedelta | None = None


def issue(phone: str, rules_slug: str) -> Issued | NotIssued:
    """Make a code for this phone (in any spelling) and start its delivery; an open code of the same rules ends.

    Raises CodeRules.DoesNotExist for rules nobody made, AccountError for a chain with a provider nobody wrote. Who calls
    this wakes the engine (deliveries.tasks.hint_after_commit) with `delivery_id`; else it starts within a second.
    Side effects: the contact is made if nobody has this phone (without any consent to marketing).
    """
    number = normalise(phone)
    if not isinstance(number, Phone):
        return NotIssued(Refusal.BAD_PHONE)
    with transaction.atomic():
        rules = CodeRules.objects.select_related("chain").select_for_update(of=("self",)).get(slug=rules_slug)
        now: datetime = database_now()
        refusal = _refusal(rules, number.e164, now)
        if refusal is not None:
            return refusal
        contact, _ = Contact.objects.get_or_create(phone=number.e164)
        if contact.suppressed == SuppressionScope.ALL:
            return NotIssued(Refusal.STOP_LIST)
        _end_open(rules, number.e164)
        expires_at = now + rules.lifetime
        token, code = secrets.token_urlsafe(16), new_code(rules.digits)
        delivery_id, _ = create_delivery(
            contact.pk, freeze_codes(rules), dedup_key=f"code:{token}", not_after=expires_at
        )
        OneTimeCode.objects.create(
            token=token,
            rules=rules,
            phone=number.e164,
            delivery_id=delivery_id,
            hashes=[_hash(token, code)],
            sealed=seal_text(code),
            attempts_left=rules.attempts,
            created_at=now,
            expires_at=expires_at,
        )
    return Issued(token, delivery_id, expires_at, rules.pause)


def verify(token: str, entered: str) -> Verdict:
    """Whether these digits are the code's. Each question costs a try, right or wrong.

    Side effects: the right digits end the code and its delivery (as reached by the goal); the last wrong ones end both.
    """
    with transaction.atomic():
        code = OneTimeCode.objects.select_for_update().filter(token=token).first()
        if code is None:
            return Verdict.UNKNOWN
        if code.end == CodeEnd.LOCKED:
            return Verdict.LOCKED
        if code.end or code.expires_at <= database_now():
            return Verdict.OVER
        code.attempts_left -= 1
        right = _is_one_of(token, entered, code.hashes)
        if right:
            _end(code, CodeEnd.ENTERED)
        elif code.attempts_left == 0:
            _end(code, CodeEnd.LOCKED)
        else:
            code.save(update_fields=["attempts_left"])
            return Verdict.WRONG
    return Verdict.ENTERED if right else Verdict.LOCKED


def codes_to_send(delivery_ids: list[int]) -> dict[int, str]:
    """The digits of these deliveries' open codes: delivery id -> digits. For the sender's transaction, nobody else."""
    found = OneTimeCode.objects.filter(delivery_id__in=delivery_ids, end="", expires_at__gt=Now())
    digits = {}
    for delivery_id, sealed in found.values_list("delivery_id", "sealed"):
        try:
            digits[delivery_id] = unseal_text(sealed)
        except InvalidToken:
            continue  # sealed with a key that is gone: this code is lost, the next one is not
    return digits


def adopt(delivery_id: int, digits: str) -> None:
    """A provider has told the person these digits instead of ours: they are as good, and what later steps carry."""
    with transaction.atomic():
        code = OneTimeCode.objects.select_for_update().filter(delivery_id=delivery_id, end="").first()
        if code is None:
            return
        code.hashes = [_hash(code.token, digits), *code.hashes][:4]
        code.sealed = seal_text(digits)
        code.save(update_fields=["hashes", "sealed"])


def end_expired() -> int:
    """End the codes whose time is over; their digits are erased. Returns how many."""
    with transaction.atomic():
        late = OneTimeCode.objects.select_for_update(skip_locked=True).filter(end="", expires_at__lte=Now())[:BATCH]
        for code in late:
            _end(code, CodeEnd.EXPIRED)
    return len(late)


def forget_old() -> int:
    """Delete codes after their time; their deliveries stay."""
    deleted, _ = OneTimeCode.objects.filter(created_at__lt=Now() - KEPT).exclude(end="").delete()
    return deleted


def new_code(digits: int) -> str:
    """Random digits without a zero in front: some providers take codes as numbers."""
    return str(secrets.randbelow(9 * 10 ** (digits - 1)) + 10 ** (digits - 1))


def _refusal(rules: CodeRules, phone: str, now: datetime) -> NotIssued | None:
    """Why this phone gets no code now. The caller holds the rules' row: codes are counted one after the other."""
    codes = OneTimeCode.objects.filter(created_at__gt=now - HOUR)
    with connection.cursor() as cursor:
        # Rules for several purposes share a phone's limit: the phone rings for each of them.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('one-time code:' || %s, 0))", [phone])
    mine = list(codes.filter(phone=phone).order_by("-created_at").values_list("created_at", flat=True))
    if mine and mine[0] > now - rules.pause:
        return NotIssued(Refusal.TOO_SOON, mine[0] + rules.pause - now)
    if len(mine) >= rules.per_phone:
        return NotIssued(Refusal.TOO_MANY, mine[rules.per_phone - 1] + HOUR - now)
    everybody = codes.filter(rules=rules).order_by("-created_at").values_list("created_at", flat=True)
    full = everybody[rules.per_hour - 1 : rules.per_hour]
    if full:
        return NotIssued(Refusal.BUSY, full[0] + HOUR - now)
    return None


def _end_open(rules: CodeRules, phone: str) -> None:
    for code in OneTimeCode.objects.select_for_update().filter(rules=rules, phone=phone, end=""):
        _end(code, CodeEnd.REPLACED if code.expires_at > database_now() else CodeEnd.EXPIRED)


def _end(code: OneTimeCode, end: CodeEnd) -> None:
    """End a locked code and its delivery. Its digits are erased."""
    code.end, code.ended_at, code.sealed = end.value, database_now(), ""
    code.save(update_fields=["end", "ended_at", "sealed", "attempts_left"])
    if end is CodeEnd.ENTERED:
        sent = (AttemptState.CALLING, AttemptState.ACCEPTED, AttemptState.UNKNOWN)
        newest = (
            Attempt.objects.filter(delivery_id=code.delivery_id, state__in=sent).order_by("-step", "-try_no").first()
        )
        if newest is not None:
            raise_milestone(newest.pk, Milestone.GOAL, code.ended_at)
        stop_of_delivery(code.delivery_id, Reason.GOAL)
    elif end is not CodeEnd.EXPIRED:  # an expired one has a deadline of its own, and an outcome by it
        stop_of_delivery(code.delivery_id, Reason.CANCELLED)


def _hash(token: str, digits: str) -> str:
    return salted_hmac("cascade.one-time-code", f"{token}:{digits}", algorithm="sha256").hexdigest()


def _is_one_of(token: str, entered: str, hashes: list[str]) -> bool:
    """Whether `entered` (spaces and dashes aside) has one of these hashes; all are compared, in constant time."""
    digits = "".join(letter for letter in entered if letter.isascii() and letter.isdigit())[:8]
    given = _hash(token, digits)
    return sum(hmac.compare_digest(given, known) for known in hashes) > 0 and bool(digits)
