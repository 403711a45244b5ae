"""HOW: sending accounts with their price and health, and the chains that order them."""

from __future__ import annotations

import secrets
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from cascade.vocabulary import ChargedOn, Milestone, TroublePolicy
from channels.providers.base import TemplateState
from templates_app.models import KindChoices


def new_callback_secret() -> str:
    """192 random bits for the callback URL of one account: guessing it is not a plan."""
    return secrets.token_urlsafe(24)


class ChargedOnChoices(models.TextChoices):
    ACCEPTED = ChargedOn.ACCEPTED.value, _("accepted by the provider")
    DELIVERED = ChargedOn.DELIVERED.value, _("delivered")
    READ = ChargedOn.READ.value, _("read")


class IncomingChoices(models.TextChoices):
    """How what people do and receipts get here. Empty: see channels.services.incoming."""

    CALLBACK = "callback", _("the provider calls this server")
    PULL = "pull", _("this server asks the provider")


class Channel(models.Model):
    """One configured sending account: “SMS through SMSC”, “Telegram bot @salon”."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    provider = models.CharField(_("provider"), max_length=40)
    kind = models.CharField(_("kind"), max_length=10, choices=KindChoices.choices, editable=False)
    #: Fernet token of the provider's Config as JSON; written and read by channels.services.accounts only.
    config_encrypted = models.TextField(blank=True, editable=False)
    base_url = models.URLField(
        _("address of the API"),
        max_length=300,
        blank=True,
        help_text=_("Only for a regional or own host."),
    )
    proxy = models.CharField(_("proxy"), max_length=300, blank=True, help_text=_("http://user:password@host:port"))
    enabled = models.BooleanField(_("enabled"), default=True)
    price = models.DecimalField(
        _("price of a message"),
        max_digits=12,
        decimal_places=4,
        default=Decimal(0),
        validators=[MinValueValidator(0)],
    )
    currency = models.CharField(_("currency"), max_length=3, default="RUB")
    charged_on = models.CharField(
        _("charged when"),
        max_length=10,
        choices=ChargedOnChoices.choices,
        default=ChargedOn.ACCEPTED,
    )
    rate = models.FloatField(
        _("messages a second"),
        validators=[MinValueValidator(0.01)],
        help_text=_("Shared by everything that sends here."),
    )
    check_registration = models.BooleanField(
        _("ask first whether the person is registered"),
        default=False,
        help_text=_("Where the provider has such a question."),
    )
    incoming = models.CharField(
        _("replies and receipts"),
        max_length=8,
        choices=IncomingChoices.choices,
        blank=True,
        default="",
        help_text=_("Empty: the provider calls; where this server has no public https address, it asks."),
    )
    greeting = models.TextField(
        _("greeting"),
        max_length=1000,
        blank=True,
        help_text=_("What a person gets who opens the dialogue (presses Start). Empty: nothing."),
    )
    ask_phone = models.BooleanField(
        _("ask strangers for their phone"),
        default=False,
        help_text=_("Under the greeting stands a button by which the person hands over their own number."),
    )
    callback_secret = models.CharField(max_length=64, unique=True, default=new_callback_secret, editable=False)
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    history = HistoricalRecords(excluded_fields=["config_encrypted", "callback_secret", "proxy"])

    class Meta:
        verbose_name = _("channel")
        verbose_name_plural = _("channels")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ChannelState(models.Model):
    """The part of a channel that changes with every batch: pace, health, balance. Apart from Channel so that the
    owner's history holds the owner's changes only."""

    class Breaker(models.TextChoices):
        CLOSED = "closed", _("works")
        OPEN = "open", _("account trouble")

    channel = models.OneToOneField(Channel, primary_key=True, on_delete=models.CASCADE, related_name="state")
    #: The next moment this account may be called (R19); workers reserve slots by moving it on.
    next_slot_at = models.DateTimeField(default=now)
    #: The end of a pause the provider asked for (Retry-After); who holds an earlier slot gives it back.
    held_until = models.DateTimeField(null=True, blank=True, editable=False)
    #: When an account that takes messages while it is offline was last asked whether it is.
    watched_at = models.DateTimeField(null=True, blank=True, editable=False)
    breaker = models.CharField(_("health"), max_length=8, choices=Breaker.choices, default=Breaker.CLOSED)
    errors_in_row = models.PositiveIntegerField(_("errors in a row"), default=0)
    unknown_in_row = models.PositiveIntegerField(_("unknown outcomes in a row"), default=0)
    #: FailureClass of the newest account-level trouble, "" for none; the owner's words are made from it.
    trouble = models.CharField(max_length=20, blank=True, editable=False)
    last_error = models.CharField(_("last error"), max_length=500, blank=True)
    opened_at = models.DateTimeField(_("in trouble since"), null=True, blank=True)
    probe_at = models.DateTimeField(_("next try"), null=True, blank=True)
    #: The owner has looked: until then a row of refusals is believed (cascade.streaks).
    vouched_until = models.DateTimeField(null=True, blank=True, editable=False)
    balance = models.DecimalField(_("balance"), max_digits=14, decimal_places=2, null=True, blank=True)
    balance_at = models.DateTimeField(_("balance asked"), null=True, blank=True)
    #: When the account's approved texts were last read whole (Capabilities.templates).
    templates_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: What links to this account are made with (a bot's @name), from the last passed connection check.
    handle = models.CharField(max_length=200, blank=True, editable=False)
    last_receipt_at = models.DateTimeField(_("last receipt"), null=True, blank=True)
    #: Of the newest messages: after how many that had not arrived the next step went out, and how many of those arrived
    #: all the same.
    fallbacks = models.PositiveIntegerField(default=0, editable=False)
    doubles = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("channel health")
        verbose_name_plural = _("channel health")

    def __str__(self) -> str:
        return f"{self.channel_id}: {self.breaker}"


class ChannelToken(models.Model):
    """The short-lived access token of an account that needs one (Capabilities.token). Written and read by
    channels.services.tokens only.

    A row of its own and not of ChannelState: that one is rewritten with every batch, and a token is two kilobytes.
    """

    channel = models.OneToOneField(Channel, primary_key=True, on_delete=models.CASCADE, related_name="+")
    #: Fernet token over the value and the fingerprint of the credentials it was got with; "" for none.
    token_encrypted = models.TextField(blank=True, editable=False)
    renew_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    #: One worker asks for a new one until then; the others wait, or use the old one while it is good.
    asked_until = models.DateTimeField(null=True, blank=True)
    #: When a token was thrown away because the provider refused it.
    dropped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")

    def __str__(self) -> str:
        return f"{self.channel_id}"


class ChannelPull(models.Model):
    """Where an account that is asked for its updates stands; apart from ChannelState, which every batch of sends writes.

    One process asks at a time: whoever holds the lease. `fence` counts the leases, so that one who slept past the end
    of his stores nothing.
    """

    channel = models.OneToOneField(Channel, primary_key=True, on_delete=models.CASCADE, related_name="pull")
    #: The adapter's own: where the next question starts. Moved in the transaction that stores what the last one brought.
    cursor = models.CharField(max_length=500, blank=True)
    moved_at = models.DateTimeField(default=now)
    lease_until = models.DateTimeField(null=True)
    fence = models.IntegerField(default=0)
    next_at = models.DateTimeField(default=now)
    asked_at = models.DateTimeField(null=True)
    errors_in_row = models.PositiveIntegerField(default=0)
    #: An English msgid and what fills it: why nothing can be fetched; "" while all is well.
    trouble = models.CharField(max_length=500, blank=True)
    trouble_params = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("asking for updates")
        verbose_name_plural = _("asking for updates")

    def __str__(self) -> str:
        return f"{self.channel_id}: {self.cursor}"


class ChannelSetup(models.Model):
    """What an owner has proved about an account while connecting it, each with its time. Apart from ChannelState, which
    every batch writes to. All of it is about the credentials of now: entering others forgets it."""

    channel = models.OneToOneField(Channel, primary_key=True, on_delete=models.CASCADE, related_name="setup")
    #: The newest self-test a person asked for, and its words (English msgid and parameters, scrubbed of secrets).
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    check_ok = models.BooleanField(default=False, editable=False)
    check_message = models.TextField(blank=True, editable=False)
    check_params = models.JSONField(default=dict, blank=True, editable=False)
    #: When the provider took our address for receipts, and which address of this installation that was.
    receipts_at = models.DateTimeField(null=True, blank=True, editable=False)
    receipts_base = models.CharField(max_length=300, blank=True, editable=False)
    #: The newest test message: by whom, to what they typed, and what is needed to recognise its receipt.
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    tested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    test_typed = models.CharField(max_length=1000, blank=True, editable=False)
    test_ref = models.CharField(max_length=40, blank=True, editable=False)
    test_address = models.CharField(max_length=1000, blank=True, editable=False)
    test_ident = models.CharField(max_length=200, blank=True, editable=False)
    #: What the provider has said about it: a Milestone, or FAILED.
    heard_at = models.DateTimeField(null=True, blank=True, editable=False)
    heard = models.CharField(max_length=10, blank=True, editable=False)
    heard_detail = models.CharField(max_length=300, blank=True, editable=False)
    #: When it was last asked about; a page that waits must not ask faster than a provider likes.
    asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Who wrote to this account last, before the first test: an owner need not know the number of their own chat.
    writer = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        verbose_name = _("connection of a channel")
        verbose_name_plural = _("connections of channels")

    def __str__(self) -> str:
        return str(self.channel_id)


class TextStateChoices(models.TextChoices):
    """Admin labels of channels.providers.base.TemplateState."""

    APPROVED = TemplateState.APPROVED.value, _("approved by WhatsApp")
    PENDING = TemplateState.PENDING.value, _("being checked by WhatsApp")
    REJECTED = TemplateState.REJECTED.value, _("rejected by WhatsApp")
    PAUSED = TemplateState.PAUSED.value, _("paused by WhatsApp")
    DISABLED = TemplateState.DISABLED.value, _("disabled by WhatsApp")
    GONE = TemplateState.GONE.value, _("deleted in WhatsApp")
    UNKNOWN = TemplateState.UNKNOWN.value, _("unknown state")


class ApprovedText(models.Model):
    """A copy of one text that an account's messenger has approved (or has not yet); see channels.services.approved."""

    channel = models.ForeignKey(
        Channel, verbose_name=_("channel"), on_delete=models.CASCADE, related_name="approved_texts"
    )
    name = models.CharField(_("name"), max_length=512)
    language = models.CharField(_("language"), max_length=20)
    category = models.CharField(_("category"), max_length=200, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=TextStateChoices.choices)
    quality = models.CharField(_("quality"), max_length=40, blank=True)
    #: With {{1}}, {{2}} where values go.
    body = models.TextField(_("text"), blank=True)
    #: How long the messenger keeps an undelivered message of it; None: nobody says.
    ttl = models.DurationField(_("message life"), null=True, blank=True)
    #: English msgid: why it cannot be sent from here.
    unusable = models.CharField(max_length=300, blank=True, editable=False)
    detail = models.CharField(max_length=300, blank=True, editable=False)
    code_button = models.BooleanField(default=False, editable=False)
    components = models.JSONField(default=list, blank=True, editable=False)
    synced_at = models.DateTimeField(_("refreshed"), default=now, editable=False)

    class Meta:
        verbose_name = _("approved template")
        verbose_name_plural = _("approved templates")
        ordering = ("name", "language")
        constraints = [
            models.UniqueConstraint(fields=["channel", "name", "language"], name="approved_once_per_channel")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.language})"


class RefusalStreak(models.Model):
    """The newest refusals of a channel for one reason with no success between (cascade.streaks.Streak). Answers and
    receipts are rows of their own: an account that takes everything may still refuse everybody later."""

    class Source(models.TextChoices):
        ANSWER = "answer", "answer"
        RECEIPT = "receipt", "receipt"

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+", db_index=False)
    source = models.CharField(max_length=8, choices=Source.choices)
    reason = models.CharField(max_length=32)
    #: [[attempt, contact], ...], oldest first. Ids: deliveries stand above channels.
    refused = models.JSONField(default=list)
    #: It has been found to be the account's trouble: whoever is refused for this reason now is not written off.
    systemic = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("row of refusals")
        verbose_name_plural = _("rows of refusals")
        constraints = [models.UniqueConstraint(fields=["channel", "source"], name="streak_one_per_source")]

    def __str__(self) -> str:
        return f"{self.channel_id}: {self.reason}"


class TroublePolicyChoices(models.TextChoices):
    HOLD = TroublePolicy.HOLD.value, _("wait for the channel")
    GO_ON = TroublePolicy.GO_ON.value, _("go on to the next step")


class Chain(models.Model):
    """An ordered list of channels. Running cascades carry a frozen copy: editing never touches them."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    on_trouble = models.CharField(
        _("when an account is in trouble"),
        max_length=8,
        choices=TroublePolicyChoices.choices,
        blank=True,
        help_text=_("Empty: wait for marketing, go on for service messages."),
    )
    dialogue_days = models.PositiveSmallIntegerField(
        _("first where the person wrote last, days"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text=_(
            "Who has written to you in a channel of this chain within so many days gets the message there first; the "
            "other steps keep their order. Empty: always this order."
        ),
    )
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    history = HistoricalRecords()

    class Meta:
        verbose_name = _("chain")
        verbose_name_plural = _("chains")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ExpectChoices(models.TextChoices):
    """What ends a step well. Empty (only the first): nothing does, the chain moves on by time alone."""

    DELIVERED = Milestone.DELIVERED.value, _("delivered")
    READ = Milestone.READ.value, _("read")
    CLICKED = Milestone.CLICKED.value, _("followed the link")
    REPLIED = Milestone.REPLIED.value, _("replied or pressed the button")
    GOAL = Milestone.GOAL.value, _("target action")


class ChainStep(models.Model):
    """“Through this channel, and wait 15 minutes for *delivered*.” Optionally a second wait after the first is met:
    “read within 24 h, then clicked within 4 h”."""

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="steps")
    order = models.PositiveSmallIntegerField(_("order"), default=0)
    channel = models.ForeignKey(
        Channel, verbose_name=_("channel"), on_delete=models.PROTECT, related_name="chain_steps"
    )
    #: Not steps of their own: tried in this order while the accounts before them are in trouble, never as well.
    reserve = models.ForeignKey(
        Channel,
        verbose_name=_("if this account cannot send"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="reserve_in_steps",
        help_text=_("Another account of the same kind stands in while the first is in trouble. Nobody gets it twice."),
    )
    second_reserve = models.ForeignKey(
        Channel,
        verbose_name=_("and if that one cannot either"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="second_reserve_in_steps",
    )
    expect = models.CharField(
        _("wait for"),
        max_length=10,
        choices=ExpectChoices.choices,
        blank=True,
        default=ExpectChoices.DELIVERED,
    )
    wait = models.DurationField(_("how long"), default=timedelta(minutes=15))
    then_expect = models.CharField(_("then wait for"), max_length=10, choices=ExpectChoices.choices, blank=True)
    then_wait = models.DurationField(_("how long"), null=True, blank=True)
    min_wait = models.DurationField(
        _("at least"),
        default=timedelta(minutes=1),
        help_text=_("A deadline never shortens the wait below this."),
    )
    only_tag = models.ForeignKey(
        "contacts.Tag",
        verbose_name=_("only for people tagged"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    history = HistoricalRecords()

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ("order", "id")
        constraints = [
            models.CheckConstraint(condition=Q(wait__gt=timedelta(0)), name="step_wait_positive"),
            models.CheckConstraint(condition=Q(min_wait__gt=timedelta(0)), name="step_min_wait_positive"),
            models.CheckConstraint(
                condition=Q(then_expect="", then_wait__isnull=True)
                | (~Q(then_expect="") & ~Q(expect="") & Q(then_wait__gt=timedelta(0)) & ~Q(expect=F("then_expect"))),
                name="step_second_wait_whole",
            ),
            models.CheckConstraint(
                condition=Q(second_reserve__isnull=True) | Q(reserve__isnull=False), name="step_reserves_in_order"
            ),
        ]

    def __str__(self) -> str:
        return str(self.channel)
