"""THE ENGINE's rows. What may happen to them is decided in cascade.machine; who may move them is said here.

A delivery is always in one of four states, and the CHECK below makes “forgotten” impossible (R15):

    waiting  due_at says when to ask cascade.decide() again            (moved by services.advance)
    ready    decided: send step `step` through `channel` from due_at    (claimed by services.send)
    leased   a send worker holds it until lease_until, fence says whose (released by send or recover)
    final    has exactly one outcome, never moves again
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from campaigns.models import Campaign
from cascade.intents import Intent
from cascade.vocabulary import FailureClass, Milestone, Outcome
from channels.models import Chain, Channel, ChargedOnChoices
from channels.providers.operator import Said
from contacts.models import Contact, PurposeChoices


class OutcomeChoices(models.TextChoices):
    REACHED = Outcome.REACHED.value, _("reached")
    EXHAUSTED = Outcome.EXHAUSTED.value, _("all steps tried")
    STOPPED = Outcome.STOPPED.value, _("stopped")
    SUPPRESSED = Outcome.SUPPRESSED.value, _("not allowed")
    EXPIRED = Outcome.EXPIRED.value, _("too late")


class MilestoneChoices(models.TextChoices):
    ACCEPTED = Milestone.ACCEPTED.value, _("accepted")
    SENT = Milestone.SENT.value, _("sent")
    DELIVERED = Milestone.DELIVERED.value, _("delivered")
    READ = Milestone.READ.value, _("read")
    CLICKED = Milestone.CLICKED.value, _("followed the link")
    REPLIED = Milestone.REPLIED.value, _("replied")
    GOAL = Milestone.GOAL.value, _("target action")


class FailureChoices(models.TextChoices):
    RECIPIENT_PERMANENT = FailureClass.RECIPIENT_PERMANENT.value, _("cannot be reached here")
    MESSAGE_PERMANENT = FailureClass.MESSAGE_PERMANENT.value, _("the provider refuses this text")
    TRANSIENT = FailureClass.TRANSIENT.value, _("the provider stumbled")
    RATE_LIMITED = FailureClass.RATE_LIMITED.value, _("too fast for the provider")
    AUTH = FailureClass.AUTH.value, _("the account is refused")
    BALANCE = FailureClass.BALANCE.value, _("no money on the account")
    OUTCOME_UNKNOWN = FailureClass.OUTCOME_UNKNOWN.value, _("nobody knows whether it left")


class DeliveryPlan(models.Model):
    """The frozen copy of chain, texts and prices that deliveries walk (I16). Never updated after creation.

    `definition` is written and read by deliveries.snapshots only.
    """

    campaign = models.OneToOneField(
        Campaign,
        verbose_name=_("campaign"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="plan",
    )
    purpose = models.CharField(_("purpose"), max_length=10, choices=PurposeChoices.choices)
    definition = models.JSONField(_("definition"))
    #: SHA-256 of what it says, for plans outside campaigns: a thousand messages of one kind share one plan.
    digest = models.CharField(max_length=64, null=True, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")

    def __str__(self) -> str:
        return f"#{self.pk}"


class DeliveryState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    READY = "ready", _("about to be sent")
    LEASED = "leased", _("being sent")
    FINAL = "final", _("finished")


class Delivery(models.Model):
    """One message for one contact on its way through one plan: the unit that must end in exactly one outcome."""

    plan = models.ForeignKey(
        DeliveryPlan,
        verbose_name=_("plan"),
        on_delete=models.PROTECT,
        related_name="deliveries",
        db_index=False,
    )
    campaign = models.ForeignKey(
        Campaign,
        verbose_name=_("campaign"),
        null=True,
        on_delete=models.PROTECT,
        related_name="deliveries",
        db_index=False,
    )
    contact = models.ForeignKey(
        Contact,
        verbose_name=_("contact"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="deliveries",
    )
    #: One event for one contact is one delivery, however often the CRM repeats its hook (R14).
    dedup_key = models.CharField(max_length=200, null=True, editable=False)
    #: Values of the campaign's file or of the event; on top of the contact's own.
    variables = models.JSONField(default=dict)

    state = models.CharField(_("state"), max_length=8, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    #: The step of the plan this delivery walks first, before the others in their order: where the person's last dialogue
    #: was at the launch (Chain.dialogue_days). None: the plan's own order. All numbers of steps in this row and in its
    #: attempts and timeline count in the order of this walk; deliveries.snapshots.plan_step() translates.
    lead = models.PositiveSmallIntegerField(null=True, editable=False)
    step = models.PositiveSmallIntegerField(_("step"), default=0)
    #: Why each step before `step` was left: Reasons in the order of steps, comma-separated. The timeline says the
    #: same with moments; this is what a decision and a report can read without it.
    trail = models.CharField(max_length=1000, blank=True)
    channel = models.ForeignKey(
        Channel,
        verbose_name=_("channel"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    #: Lower goes first: service 0, bulk 10 (R19).
    priority = models.PositiveSmallIntegerField(_("priority"), default=10)
    due_at = models.DateTimeField(_("next look"), null=True)
    lease_until = models.DateTimeField(null=True)
    #: +1 at each claim: a worker that slept past its lease finds another number and keeps its hands off (I1).
    fence = models.IntegerField(default=0)
    not_after = models.DateTimeField(_("nothing after"), null=True)
    #: Why it waits, for people; also keeps the timeline from saying the same thing at every look.
    wait_reason = models.CharField(_("waits because"), max_length=32, blank=True)

    #: A stop fact of the person or the owner, waiting to be folded in (reply, opt-out, cancel ...); see R10.
    stop_reason = models.CharField(max_length=32, blank=True)
    stop_at = models.DateTimeField(null=True)
    stop_step = models.PositiveSmallIntegerField(null=True)

    outcome = models.CharField(_("outcome"), max_length=10, choices=OutcomeChoices.choices, blank=True)
    outcome_step = models.PositiveSmallIntegerField(_("by step"), null=True)
    outcome_milestone = models.CharField(_("by"), max_length=10, choices=MilestoneChoices.choices, blank=True)
    outcome_reason = models.CharField(_("why"), max_length=32, blank=True)
    #: Some attempt's outcome was never known: the honest residue, listed for the owner.
    has_unknown = models.BooleanField(_("outcome of a step unknown"), default=False)
    #: Two steps reached the person (R6): both costs are real.
    is_double = models.BooleanField(_("reached twice"), default=False)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "contact"], name="delivery_once_per_campaign"),
            # Partial: a mass sending has no key, and each of its rows moves through every full index at each step.
            models.UniqueConstraint(
                fields=["dedup_key"], condition=Q(dedup_key__isnull=False), name="delivery_once_per_event"
            ),
            models.CheckConstraint(
                name="delivery_never_forgotten",
                condition=Q(state="waiting", due_at__isnull=False, lease_until__isnull=True, outcome="")
                | Q(
                    state="ready",
                    due_at__isnull=False,
                    channel__isnull=False,
                    lease_until__isnull=True,
                    outcome="",
                )
                | Q(state="leased", lease_until__isnull=False, channel__isnull=False, outcome="")
                | (Q(state="final", due_at__isnull=True, lease_until__isnull=True) & ~Q(outcome="")),
            ),
        ]
        indexes = [
            models.Index(fields=["priority", "due_at"], name="delivery_waiting", condition=Q(state="waiting")),
            models.Index(
                fields=["channel", "priority", "due_at"],
                name="delivery_ready",
                condition=Q(state="ready"),
            ),
            models.Index(fields=["lease_until"], name="delivery_leased", condition=Q(state="leased")),
            # What a person should look at: few rows among millions, so the lists are found at once.
            models.Index(fields=["id"], name="delivery_unknown", condition=Q(has_unknown=True)),
            models.Index(fields=["id"], name="delivery_double", condition=Q(is_double=True)),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class AttemptState(models.TextChoices):
    CALLING = "calling", _("being sent")
    ACCEPTED = "accepted", _("accepted")
    FAILED = "failed", _("failed")
    UNKNOWN = "unknown", _("outcome unknown")


class Attempt(models.Model):
    """One call to one provider for one step of one delivery. Written before the call (I4)."""

    delivery = models.ForeignKey(
        Delivery,
        verbose_name=_("delivery"),
        on_delete=models.CASCADE,
        related_name="attempts",
        db_index=False,
    )
    step = models.PositiveSmallIntegerField(_("step"))
    #: 1, 2, ... within the step.
    try_no = models.PositiveSmallIntegerField(_("try"))
    channel = models.ForeignKey(
        Channel,
        verbose_name=_("channel"),
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    #: As long as contacts.ContactAddress.value.
    address = models.CharField(_("address"), max_length=1000)
    state = models.CharField(_("state"), max_length=8, choices=AttemptState.choices, default=AttemptState.CALLING)
    #: Our reference, sent wherever the wire has a field for it; also the secret of tracked links.
    client_ref = models.CharField(max_length=22)
    provider_message_id = models.CharField(_("provider's id"), max_length=200, blank=True)

    called_at = models.DateTimeField(_("called"))
    accepted_at = models.DateTimeField(_("accepted"), null=True)
    sent_at = models.DateTimeField(_("sent"), null=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True)
    read_at = models.DateTimeField(_("read"), null=True)
    clicked_at = models.DateTimeField(_("followed the link"), null=True)
    replied_at = models.DateTimeField(_("replied"), null=True)
    goal_at = models.DateTimeField(_("target action"), null=True)
    failed_at = models.DateTimeField(_("failed"), null=True)
    failure = models.CharField(_("failure"), max_length=20, choices=FailureChoices.choices, blank=True)
    reason = models.CharField(_("why"), max_length=32, blank=True)
    #: Provider's code and words, scrubbed, for support.
    detail = models.CharField(_("provider's words"), max_length=500, blank=True)
    retry_at = models.DateTimeField(null=True)
    next_poll_at = models.DateTimeField(null=True)
    polls = models.PositiveSmallIntegerField(default=0)
    recalled_at = models.DateTimeField(_("taken back"), null=True)

    parts = models.PositiveSmallIntegerField(_("SMS parts"), default=1)
    #: What it will cost when charged: price list x parts, frozen at the call.
    price = models.DecimalField(_("price"), max_digits=12, decimal_places=4, default=0)
    charged_on = models.CharField(_("charged when"), max_length=10, choices=ChargedOnChoices.choices)
    #: What it did cost: booked once, when the charging milestone came (section 4a), corrected by the provider's figure.
    cost = models.DecimalField(_("cost"), max_digits=12, decimal_places=4, null=True)
    #: The consent ledger row that allowed a marketing message (I7). An id: the proof must outlive the contact.
    consent_id = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [
            models.UniqueConstraint(fields=["delivery", "step", "try_no"], name="attempt_once_per_try"),
            # Not `unique=True`, which would add an index for LIKE: a random key in one more index, twice a message.
            models.UniqueConstraint(fields=["client_ref"], name="attempt_once_per_ref"),
            models.UniqueConstraint(fields=["delivery"], condition=Q(state="calling"), name="attempt_one_in_flight"),
            # With the address: Telegram numbers messages within a chat, SMSC gives one id to many phones.
            models.UniqueConstraint(
                fields=["channel", "provider_message_id", "address"],
                condition=~Q(provider_message_id=""),
                name="attempt_once_per_provider_id",
            ),
        ]
        indexes = [
            models.Index(
                fields=["channel", "next_poll_at"],
                name="attempt_poll",
                condition=Q(next_poll_at__isnull=False),
            ),
            # “What was sent today”: calls are written in the order of time, so a few pages of index name the part of
            # the table to read. Costs next to nothing when writing, and does not forbid HOT updates.
            BrinIndex(fields=["called_at"], name="attempt_called", autosummarize=True),
            models.Index(fields=["channel", "address"], name="attempt_in_doubt", condition=Q(state="unknown")),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class TimelineEvent(models.Model):
    """Why each step happened: decisions in order, append-only (R16). The facts (sent, delivered ...) stand on the
    attempts; deliveries.selectors.timeline() joins the two and words them."""

    class Kind(models.TextChoices):
        LEFT = "left", _("step left")
        WAITING = "waiting", _("postponed")
        FINISHED = "finished", _("finished")
        LATE = "late", _("late receipt")
        RECALLED = "recalled", _("taken back")
        NOTE = "note", _("note")

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="timeline")
    at = models.DateTimeField(_("when"))
    kind = models.CharField(_("what"), max_length=10, choices=Kind.choices)
    step = models.PositiveSmallIntegerField(_("step"), null=True)
    reason = models.CharField(_("why"), max_length=32)
    params = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("timeline event")
        verbose_name_plural = _("timeline")
        ordering = ("at", "id")

    def __str__(self) -> str:
        return f"{self.kind} {self.reason}"


class Receipt(models.Model):
    """The inbox: a callback as it came, stored before it is answered 2xx (I5), read later, in batches."""

    class State(models.TextChoices):
        NEW = "new", _("new")
        APPLIED = "applied", _("applied")
        PARKED = "parked", _("waiting for its message")
        IGNORED = "ignored", _("nothing to do")
        QUARANTINED = "quarantined", _("unreadable")

    channel = models.ForeignKey(
        Channel,
        verbose_name=_("channel"),
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    dedup_key = models.BinaryField(max_length=32)
    method = models.CharField(max_length=8)
    query = models.JSONField(default=dict)
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    received_at = models.DateTimeField(_("received"), db_default=Now())
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.NEW)
    #: For parked ones: when to look for the message again.
    due_at = models.DateTimeField(null=True)
    note = models.CharField(_("note"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("receipt")
        verbose_name_plural = _("receipts")
        constraints = [models.UniqueConstraint(fields=["channel", "dedup_key"], name="receipt_once")]
        indexes = [
            models.Index(fields=["id"], name="receipt_new", condition=Q(state="new")),
            models.Index(fields=["due_at"], name="receipt_parked", condition=Q(state="parked")),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class IntentChoices(models.TextChoices):
    OPT_OUT = Intent.OPT_OUT.value, _("refusal")
    DOUBTFUL = Intent.DOUBTFUL.value, _("doubtful")
    YES = Intent.YES.value, _("yes")
    NO = Intent.NO.value, _("no")


class SenderNote(models.TextChoices):
    """How somebody became known, or did not."""

    INVITED = "invited", _("came by their invitation")
    EXPIRED = "expired", _("the invitation was out of date")
    FOREIGN = "foreign", _("came by somebody else's invitation: refused")
    UNKNOWN = "unknown", _("came by an invitation nobody has sent")
    OWN_CARD = "own_card", _("handed over their phone")
    ALIEN_CARD = "alien_card", _("sent the card of another person: not believed")
    ASSIGNED = "assigned", _("recognised by a colleague")


class InboundMessage(models.Model):
    """What a person wrote or pressed, once; matched to the contact and the attempt where that is possible."""

    channel = models.ForeignKey(
        Channel,
        verbose_name=_("channel"),
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    event_key = models.CharField(max_length=200)
    address = models.CharField(_("address"), max_length=200)
    contact = models.ForeignKey(
        Contact,
        verbose_name=_("contact"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="inbound",
    )
    attempt = models.ForeignKey(
        Attempt,
        verbose_name=_("in answer to"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    text = models.TextField(_("text"), blank=True)
    payload = models.CharField(_("button"), max_length=200, blank=True)
    received_at = models.DateTimeField(_("received"))
    #: What it was taken for (cascade.intents); a pressed button is a yes.
    intent = models.CharField(_("taken for"), max_length=10, choices=IntentChoices.choices, blank=True)
    #: How the sender was recognised, or why not.
    note = models.CharField(_("note"), max_length=20, choices=SenderNote.choices, blank=True)

    class Meta:
        verbose_name = _("incoming message")
        verbose_name_plural = _("incoming messages")
        constraints = [models.UniqueConstraint(fields=["channel", "event_key"], name="inbound_once")]
        indexes = [
            # Who wrote and is nobody we know: few among many.
            models.Index(fields=["channel", "address"], name="inbound_stranger", condition=Q(contact__isnull=True)),
        ]

    def __str__(self) -> str:
        return self.text[:50] or self.payload


class LinkVisit(models.Model):
    """Somebody, or something, opened a page of an e-mail: mail scanners follow links as well, so what each visit was is
    judged a moment later, with all others of its letter in view (deliveries.services.clicks)."""

    class What(models.TextChoices):
        LINK = "link", _("the link")
        CONFIRMED = "confirmed", _("the link, and the page was shown")
        TRAP = "trap", _("a link nobody can see")
        UNSUBSCRIBE = "unsubscribe", _("the page for unsubscribing")

    class Verdict(models.TextChoices):
        NEW = "", _("not judged yet")
        PERSON = "person", _("a person")
        ROBOT = "robot", _("a robot")
        NOTHING = "nothing", _("says nothing")

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="visits")
    at = models.DateTimeField(db_default=Now())
    what = models.CharField(max_length=12, choices=What.choices)
    verdict = models.CharField(max_length=8, choices=Verdict.choices, blank=True, default="")

    class Meta:
        verbose_name = _("visit of a link")
        verbose_name_plural = _("visits of links")
        indexes = [models.Index(fields=["id"], name="visit_new", condition=Q(verdict=""))]

    def __str__(self) -> str:
        return f"{self.what} {self.verdict}"


class PersonPause(models.Model):
    """Nothing of marketing is sent to this person for a while: an answer of theirs may have meant “stop”, and somebody has
    to read it. The clocks of their deliveries stand still meanwhile, as in a paused campaign (R20).

    Ends by itself: “not now” is not “never”, and nobody may be forgotten because nobody has looked.
    """

    class Decision(models.TextChoices):
        OPT_OUT = "opt_out", _("it was a refusal")
        GO_ON = "go_on", _("it was none")

    contact = models.ForeignKey(Contact, verbose_name=_("contact"), on_delete=models.CASCADE, related_name="pauses")
    message = models.ForeignKey(
        InboundMessage, verbose_name=_("message"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    began_at = models.DateTimeField(_("since"))
    ends_at = models.DateTimeField(_("until"))
    decision = models.CharField(_("decided"), max_length=10, choices=Decision.choices, blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    class Meta:
        verbose_name = _("doubtful answer")
        verbose_name_plural = _("doubtful answers")
        constraints = [
            models.UniqueConstraint(
                fields=["contact"], condition=Q(decided_at__isnull=True), name="pause_one_undecided"
            )
        ]

    def __str__(self) -> str:
        return f"{self.contact_id}"


class MarketingTouch(models.Model):
    """A slot of a frequency cap, taken in TX-calling under the contact's row lock (I8); one per delivery."""

    delivery = models.OneToOneField(Delivery, primary_key=True, on_delete=models.CASCADE)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+", db_index=False)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("marketing touch")
        verbose_name_plural = _("marketing touches")
        indexes = [models.Index(fields=["contact", "at"], name="touch_recent")]

    def __str__(self) -> str:
        return f"{self.contact_id} {self.at}"


class SaidChoices(models.TextChoices):
    CONFIRMED = Said.CONFIRMED.value, _("Spoke: confirmed")
    NOT_INTERESTED = Said.NOT_INTERESTED.value, _("Spoke: not interested")
    NO_ANSWER = Said.NO_ANSWER.value, _("No answer")
    WRONG_NUMBER = Said.WRONG_NUMBER.value, _("Wrong number")
    REFUSED = Said.REFUSED.value, _("Refused all messages")


class OperatorTask(models.Model):
    """A step that a colleague does: a call with its whole story. Written with the attempt's result, withdrawn with the
    decision that makes it pointless; between the two it stands on the desk (docs/adr, “A task is written with its
    result”)."""

    class State(models.TextChoices):
        OPEN = "open", _("to do")
        DONE = "done", _("done")
        WITHDRAWN = "withdrawn", _("withdrawn")

    delivery = models.ForeignKey(
        Delivery, verbose_name=_("delivery"), on_delete=models.CASCADE, related_name="tasks", db_index=False
    )
    step = models.PositiveSmallIntegerField(_("step"))
    channel = models.ForeignKey(
        Channel, verbose_name=_("channel"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    contact = models.ForeignKey(
        Contact, verbose_name=_("contact"), null=True, on_delete=models.SET_NULL, related_name="tasks"
    )
    #: The attempt's reference: what a report names.
    client_ref = models.CharField(max_length=22)
    address = models.CharField(_("phone"), max_length=200)
    text = models.TextField(_("what to say"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    due_at = models.DateTimeField(_("call before"))
    created_at = models.DateTimeField(_("created"), db_default=Now())
    taken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("taken by"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    taken_at = models.DateTimeField(null=True)
    #: How often the person asked to be called later.
    postponed = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(_("outcome"), max_length=16, choices=SaidChoices.choices, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("done by"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    closed_at = models.DateTimeField(_("closed"), null=True)
    #: A Reason: why it was taken off the desk.
    withdrawn_because = models.CharField(max_length=32, blank=True)

    class Meta:
        verbose_name = _("operator's task")
        verbose_name_plural = _("operator's tasks")
        constraints = [
            # A step is one call, whatever is tried again or recorded twice.
            models.UniqueConstraint(fields=["delivery", "step"], name="task_once_per_step"),
            models.CheckConstraint(
                name="task_closed_or_open",
                condition=Q(state="open", closed_at__isnull=True, outcome="")
                | (Q(state="done", closed_at__isnull=False) & ~Q(outcome=""))
                | Q(state="withdrawn", closed_at__isnull=False, outcome=""),
            ),
        ]
        indexes = [models.Index(fields=["due_at"], name="task_open", condition=Q(state="open"))]

    def __str__(self) -> str:
        return self.address


class Heartbeat(models.Model):
    """When each tick last ran to its end: a silent engine must be seen by the owner, not discovered."""

    name = models.CharField(_("name"), max_length=40, primary_key=True)
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")

    def __str__(self) -> str:
        return self.name


class HookKind(models.TextChoices):
    """What other programs are told."""

    FINISHED = "message.finished", _("a message has come to its end (again, when a late receipt changed it)")
    RECEIVED = "message.received", _("a person wrote or pressed a button")
    OPTED_OUT = "contact.opted_out", _("a person refused further messages")


class HookEndpoint(models.Model):
    """An address of another program that is told what happens (standardwebhooks.com)."""

    name = models.CharField(_("title"), max_length=100)
    url = models.URLField(_("address"), max_length=500, help_text=_("https://..., it answers 2xx within 15 seconds."))
    events = ArrayField(models.CharField(max_length=32, choices=HookKind.choices), verbose_name=_("is told when"))
    enabled = models.BooleanField(_("enabled"), default=True)
    #: Sealed (channels.services.accounts): it must be known to sign with. Shown once, when it is made.
    secret_sealed = models.TextField(editable=False)
    #: Since when every call has failed; NULL while it works.
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True, editable=False)
    last_error = models.CharField(_("last error"), max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ("-id",)
        constraints = [models.CheckConstraint(condition=~Q(events=[]), name="hook_is_told_something")]

    def __str__(self) -> str:
        return self.name


class HookEvent(models.Model):
    """One thing to tell one endpoint; written in the transaction it tells about, told after the commit, until it is heard.

    `due_at` NULL: heard, or given up (`told_at` says which).
    """

    endpoint = models.ForeignKey(HookEndpoint, on_delete=models.CASCADE, related_name="sent", db_index=False)
    uid = models.UUIDField(unique=True, db_default=RandomUUID())
    kind = models.CharField(_("what"), max_length=32, choices=HookKind.choices)
    #: Delivery, inbound message or contact, by `kind`.
    subject_id = models.BigIntegerField()
    #: Made at the first try and the same at every later one.
    payload = models.JSONField(null=True)
    created_at = models.DateTimeField(_("happened"), db_default=Now())
    due_at = models.DateTimeField(_("next try"), null=True, db_default=Now())
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    told_at = models.DateTimeField(_("heard"), null=True)
    status = models.PositiveSmallIntegerField(_("answer"), null=True)
    error = models.CharField(_("error"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("webhook call")
        verbose_name_plural = _("webhook calls")
        indexes = [
            models.Index(fields=["due_at"], name="hook_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=["endpoint", "id"], name="hook_of_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id}"


class CodeRules(models.Model):
    """How phones are confirmed for one purpose: by which chain, in which words, how long and how often.

    “Login”, “booking”: a program asks for a code by `slug` (deliveries.services.codes).
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    slug = models.SlugField(
        _("name for programs"), max_length=40, unique=True, help_text=_("Latin letters: login, booking.")
    )
    chain = models.ForeignKey(
        Chain,
        verbose_name=_("chain"),
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("A flash call or Telegram Gateway first, SMS last. Each step waits its time for the code."),
    )
    text = models.CharField(
        _("text"), max_length=300, help_text=_("For SMS and messengers. {code} is where the digits go.")
    )
    digits = models.PositiveSmallIntegerField(
        _("digits"), default=4, validators=[MinValueValidator(4), MaxValueValidator(8)]
    )
    lifetime = models.DurationField(
        _("good for"), default=timedelta(minutes=5), help_text=_("After this no code of it is accepted or sent.")
    )
    attempts = models.PositiveSmallIntegerField(
        _("tries to enter it"), default=3, validators=[MinValueValidator(1), MaxValueValidator(10)]
    )
    pause = models.DurationField(
        _("next code not before"), default=timedelta(seconds=30), help_text=_("After the one before, for one phone.")
    )
    per_phone = models.PositiveSmallIntegerField(
        _("codes an hour for one phone"), default=5, validators=[MinValueValidator(1)]
    )
    per_hour = models.PositiveIntegerField(
        _("codes an hour for everybody"),
        default=300,
        validators=[MinValueValidator(1)],
        help_text=_("Swindlers ask for thousands of codes to numbers that pay them. Set what an honest hour needs."),
    )
    history = HistoricalRecords()

    class Meta:
        verbose_name = _("rules for codes")
        verbose_name_plural = _("rules for codes")
        ordering = ("name",)
        constraints = [
            models.CheckConstraint(name="code_rules_digits", condition=Q(digits__gte=4, digits__lte=8)),
            models.CheckConstraint(
                name="code_rules_sound",
                condition=Q(
                    attempts__gte=1,
                    attempts__lte=10,
                    lifetime__gt=timedelta(0),
                    pause__gte=timedelta(0),
                    per_phone__gte=1,
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CodeEnd(models.TextChoices):
    """What became of a code; empty: it may still be entered, if its time is not over."""

    ENTERED = "entered", _("entered")
    LOCKED = "locked", _("entered wrongly too often")
    REPLACED = "replaced", _("another one was asked for")
    EXPIRED = "expired", _("not entered in time")


class OneTimeCode(models.Model):
    """One code for one phone: that it was entered is the only proof that it arrived.

    The digits stand nowhere in readable form: `hashes` (HMAC with the installation's key) answer “is it this one?”,
    and `sealed` (encrypted like credentials) lets the engine write a later step; it is erased when the code is over.
    """

    #: What a program names the code by; says nothing about it.
    token = models.CharField(max_length=22, unique=True, editable=False)
    rules = models.ForeignKey(CodeRules, verbose_name=_("rules"), on_delete=models.PROTECT, related_name="codes")
    phone = models.CharField(_("phone"), max_length=16)
    delivery = models.OneToOneField(Delivery, verbose_name=_("delivery"), on_delete=models.CASCADE, related_name="code")
    #: Ours, and where a provider chose other digits, theirs: each of them was really told to the person.
    hashes = ArrayField(models.CharField(max_length=64), size=4, editable=False)
    sealed = models.TextField(blank=True, editable=False)
    attempts_left = models.PositiveSmallIntegerField(_("tries left"))
    created_at = models.DateTimeField(_("asked for"), db_default=Now())
    expires_at = models.DateTimeField(_("good until"))
    ended_at = models.DateTimeField(_("over since"), null=True)
    end = models.CharField(_("what became of it"), max_length=8, choices=CodeEnd.choices, blank=True)

    class Meta:
        verbose_name = _("one-time code")
        verbose_name_plural = _("one-time codes")
        constraints = [
            # Two codes at once would double the guesses.
            models.UniqueConstraint(fields=["phone", "rules"], condition=Q(end=""), name="code_one_at_a_time"),
            models.CheckConstraint(
                name="code_over_or_not",
                condition=Q(end="", ended_at__isnull=True) | (~Q(end="") & Q(ended_at__isnull=False, sealed="")),
            ),
            models.CheckConstraint(name="code_lives", condition=Q(expires_at__gt=F("created_at"))),
            models.CheckConstraint(name="code_locked_without_tries", condition=~Q(end="", attempts_left=0)),
        ]
        indexes = [
            models.Index(fields=["phone", "created_at"], name="code_of_phone"),
            models.Index(fields=["rules", "created_at"], name="code_of_rules"),
            models.Index(fields=["expires_at"], name="code_open", condition=Q(end="")),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
