"""Deliveries and the calls behind them: a list that answers “who”, a page that answers “why”."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import display

from campaigns.money import say_money
from channels.models import Channel
from contacts.models import Contact
from contacts.selectors import found_by
from deliveries.admin.reading import ReadOnlyAdmin, moment
from deliveries.models import Attempt, AttemptState, Delivery, DeliveryState, OutcomeChoices
from deliveries.selectors import timeline, unknown_outcomes
from deliveries.words import REASON_LABELS, milestone_label, reason_label

#: Colours of Unfold's labels and of our badges, by outcome or state.
COLOURS: dict[str, str] = {
    OutcomeChoices.REACHED: "success",
    OutcomeChoices.EXHAUSTED: "danger",
    OutcomeChoices.STOPPED: "warning",
    OutcomeChoices.SUPPRESSED: "warning",
    OutcomeChoices.EXPIRED: "warning",
    DeliveryState.WAITING: "info",
    DeliveryState.READY: "info",
    DeliveryState.LEASED: "info",
}
ATTEMPT_COLOURS: dict[str, str] = {
    AttemptState.CALLING: "info",
    AttemptState.ACCEPTED: "success",
    AttemptState.FAILED: "danger",
    AttemptState.UNKNOWN: "warning",
}
#: People looked at for one search: a name half the town has is no search.
_FOUND_AT_MOST = 1000


def people_found(term: str) -> QuerySet[Contact, Any]:
    """Ids of the contacts a search means, as a subquery."""
    return Contact.objects.filter(found_by(term)).order_by("pk").values("pk")[:_FOUND_AT_MOST]


class TriedFilter(DropdownFilter):
    """Deliveries in which a channel was tried, whatever came of it."""

    title = gettext_lazy("tried through")
    parameter_name = "tried"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Channel.objects.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        chosen = {value for value, _name in self.lookup_choices} & {self.value()}
        if not chosen:
            return queryset
        return queryset.filter(Exists(Attempt.objects.filter(delivery=OuterRef("pk"), channel_id=int(chosen.pop()))))


class ReasonFilter(DropdownFilter):
    """Why it ended, or why it waits."""

    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return sorted(((str(code), reason_label(code)) for code in REASON_LABELS), key=lambda one: one[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        reason = self.value()
        if reason not in REASON_LABELS:
            return queryset
        final = Q(state=DeliveryState.FINAL)
        return queryset.filter((final & Q(outcome_reason=reason)) | (~final & Q(wait_reason=reason)))


class LookFilter(DropdownFilter):
    """What a person should look at."""

    title = gettext_lazy("to look at")
    parameter_name = "look"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("unknown", _("outcome unknown, not reached")),
            ("any_unknown", _("a step's outcome unknown")),
            ("double", _("reached twice")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        match self.value():
            case "unknown":
                return queryset.filter(pk__in=unknown_outcomes().values("pk"))
            case "any_unknown":
                return queryset.filter(has_unknown=True)
            case "double":
                return queryset.filter(is_double=True)
        return queryset


def outcome_of(delivery: Delivery) -> tuple[str, str]:
    """(code, words): the outcome, or the state while there is none."""
    if delivery.outcome:
        return delivery.outcome, str(delivery.get_outcome_display())
    return delivery.state, str(delivery.get_state_display())


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("shown_who", "campaign", "shown_outcome", "shown_why", "shown_channel", "shown_cost", "shown_when")
    list_select_related = ("contact", "campaign")
    list_filter = (
        ("campaign", AutocompleteSelectFilter),
        ("outcome", ChoicesDropdownFilter),
        ("state", ChoicesDropdownFilter),
        TriedFilter,
        ReasonFilter,
        LookFilter,
    )
    #: Any field turns the search box on; what is searched is said in get_search_results.
    search_fields = ("id",)
    search_help_text = gettext_lazy("Phone in any spelling, part of a name, or the beginning of an e-mail")
    list_before_template = "deliveries/admin/delivery_list_before.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """With the channel last tried and the money, per shown row: both are looked up behind the LIMIT."""
        tries = Attempt.objects.filter(delivery=OuterRef("pk"))
        found: QuerySet[Delivery] = super().get_queryset(request)
        return found.annotate(
            last_channel=Subquery(tries.order_by("-step", "-try_no").values("channel__name")[:1]),
            last_currency=Subquery(tries.order_by("-step", "-try_no").values("channel__currency")[:1]),
            paid=Subquery(tries.order_by().values("delivery").annotate(paid=Sum("cost")).values("paid")),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        term = search_term.strip()
        return (queryset.filter(contact_id__in=people_found(term)) if term else queryset), False

    @display(description=gettext_lazy("to whom"))
    def shown_who(self, delivery: Delivery) -> str:
        contact = delivery.contact
        if contact is None:
            return _("deleted contact")
        phone = contact.phone or contact.email or ""
        return f"{contact}, {phone}" if phone and phone != str(contact) else str(contact)

    @display(description=gettext_lazy("outcome"), label=COLOURS)
    def shown_outcome(self, delivery: Delivery) -> tuple[str, str]:
        return outcome_of(delivery)

    @display(description=gettext_lazy("why"))
    def shown_why(self, delivery: Delivery) -> str:
        marks = [_("outcome of a step unknown")] if delivery.has_unknown else []
        marks += [_("reached twice")] if delivery.is_double else []
        reason = delivery.outcome_reason if delivery.state == DeliveryState.FINAL else delivery.wait_reason
        return "; ".join([milestone_label(delivery.outcome_milestone) or reason_label(reason), *marks])

    @display(description=gettext_lazy("last tried"))
    def shown_channel(self, delivery: Any) -> str:
        return delivery.last_channel or ""

    @display(description=gettext_lazy("cost"))
    def shown_cost(self, delivery: Any) -> str:
        return say_money(delivery.paid, delivery.last_currency) if delivery.paid else ""

    @display(description=gettext_lazy("created"))
    def shown_when(self, delivery: Delivery) -> str:
        return moment(delivery.created_at)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The story: what happened, when, why, and what it cost; under it the calls."""
        delivery = self.found(request, object_id)
        if delivery is None:
            if not self.has_view_permission(request):
                raise PermissionDenied
            return self.gone(request, object_id)
        if not self.has_view_permission(request, delivery):
            raise PermissionDenied
        attempts = list(Attempt.objects.filter(delivery=delivery).select_related("channel").order_by("called_at", "id"))
        code, words = outcome_of(delivery)
        currency = attempts[-1].channel.currency if attempts else "RUB"
        return self.page(
            request,
            "delivery.html",
            title=_("Delivery to %(person)s") % {"person": self.shown_who(delivery)},
            delivery=delivery,
            badge=COLOURS.get(code, "default"),
            outcome=words,
            reason=self.shown_why(delivery),
            lines=timeline(delivery.pk),
            attempts=[_attempt_row(one) for one in attempts],
            cost=say_money(sum((one.cost or Decimal(0) for one in attempts), Decimal(0)), currency),
            may_see_contact=request.user.has_perm("contacts.view_contact"),
            may_see_campaign=request.user.has_perm("campaigns.view_campaign"),
        )


#: In the order they rise.
_MILESTONES = ("accepted", "sent", "delivered", "read", "clicked", "replied", "goal")


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    """One call as a line of the table."""
    risen = [(name, getattr(attempt, f"{name}_at")) for name in _MILESTONES]
    name, at = next(((name, at) for name, at in reversed(risen) if at is not None), ("", None))
    failure = attempt.get_failure_display() if attempt.failure else ""
    return {
        "attempt": attempt,
        "badge": ATTEMPT_COLOURS.get(attempt.state, "default"),
        "best": milestone_label(name),
        "best_at": at,
        "failure": failure,
        "why": reason_label(attempt.reason),
        "cost": say_money(attempt.cost, attempt.channel.currency) if attempt.cost is not None else "",
        "price": say_money(attempt.price, attempt.channel.currency),
    }


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ("shown_when", "shown_delivery", "shown_step", "channel", "address", "shown_state", "shown_best",
                    "shown_cost")  # fmt: skip
    list_select_related = ("channel",)
    list_filter = (
        ("channel", RelatedDropdownFilter),
        ("state", ChoicesDropdownFilter),
        ("failure", ChoicesDropdownFilter),
    )
    search_fields = ("provider_message_id",)
    search_help_text = gettext_lazy("Phone or name of the person, or the provider's id of the message")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Attempt], search_term: str
    ) -> tuple[QuerySet[Attempt], bool]:
        """By the provider's id in any channel (the index begins with the channel), else by the person."""
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        channels = list(Channel.objects.values_list("pk", flat=True))
        by_id = Attempt.objects.filter(channel__in=channels, provider_message_id=term).values("pk")[:_FOUND_AT_MOST]
        theirs = Delivery.objects.filter(contact_id__in=people_found(term)).values("pk")
        return queryset.filter(Q(pk__in=by_id) | Q(delivery__in=theirs)), False

    @display(description=gettext_lazy("called"))
    def shown_when(self, attempt: Attempt) -> str:
        return moment(attempt.called_at)

    @display(description=gettext_lazy("delivery"))
    def shown_delivery(self, attempt: Attempt) -> str:
        url = reverse("admin:deliveries_delivery_change", args=[attempt.delivery_id])
        return format_html('<a class="cascade-link" href="{}">№ {}</a>', url, attempt.delivery_id)

    @display(description=gettext_lazy("step"))
    def shown_step(self, attempt: Attempt) -> str:
        if attempt.try_no == 1:
            return str(attempt.step + 1)
        return _("%(step)s, try %(try)s") % {"step": attempt.step + 1, "try": attempt.try_no}

    @display(description=gettext_lazy("state"), label=ATTEMPT_COLOURS)
    def shown_state(self, attempt: Attempt) -> tuple[str, str]:
        return attempt.state, str(attempt.get_state_display())

    @display(description=gettext_lazy("what came of it"))
    def shown_best(self, attempt: Attempt) -> str:
        row = _attempt_row(attempt)
        return str(row["best"] or row["failure"] or "")

    @display(description=gettext_lazy("cost"))
    def shown_cost(self, attempt: Attempt) -> str:
        return str(_attempt_row(attempt)["cost"])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A call is read within its delivery: alone it explains nothing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        attempt = self.found(request, object_id)
        if attempt is None:
            return self.gone(request, object_id)
        url = reverse("admin:deliveries_delivery_change", args=[attempt.delivery_id])
        return HttpResponseRedirect(f"{url}#attempt-{attempt.pk}")
