"""Chains: sortable steps, presets, warnings, and the whole thing in one plain sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import DurationField as DurationColumn
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin, StackedInline
from unfold.decorators import display

from channels.admin.durations import DurationField, DurationWidget
from channels.admin.words import ICONS, price_words
from channels.models import Chain, ChainStep, Channel
from channels.services import chains
from channels.services.accounts import AccountError
from channels.services.chains import Level, Problem, Rung
from templates_app.models import KindChoices


class StepFormSet(BaseInlineFormSet):
    """Checks the steps against what their channels can do, as one chain and in the order they will have."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        kept = [
            form
            for form in self.forms
            if form.cleaned_data and not (self.can_delete and self._should_delete_form(form))  # type: ignore[attr-defined]
        ]
        kept.sort(key=lambda form: (form.cleaned_data.get("order") or 0, self.forms.index(form)))
        if not kept:
            raise forms.ValidationError(_("A chain needs at least one step. Add one below, or start from a preset."))
        try:
            # The chain's own form has put its choice into the instance by now.
            any_first = bool(self.instance.dialogue_days)
            problems = chains.validate_chain([Rung.of(form.instance) for form in kept], any_first=any_first)
        except AccountError as error:
            raise forms.ValidationError(_(error.message) % error.params) from None
        refused = False
        for problem in problems:
            if problem.level is Level.ERROR and problem.step is not None:
                kept[problem.step].add_error(problem.field or None, problem.text())
                refused = True
        if refused:
            # The formset has collected its errors already: without this one it would count as valid.
            raise forms.ValidationError(_("Some steps cannot work as they are; see the notes beside them."))


class StepForm(forms.ModelForm):
    class Meta:
        model = ChainStep
        fields = (
            "channel",
            "expect",
            "wait",
            "reserve",
            "second_reserve",
            "then_expect",
            "then_wait",
            "min_wait",
            "only_tag",
            "order",
        )

    def clean(self) -> dict[str, Any]:
        """The second wait is whole or absent; without a first milestone there is nothing to count from."""
        cleaned = super().clean() or self.cleaned_data
        then, wait = cleaned.get("then_expect"), cleaned.get("then_wait")
        if then and not wait and "then_wait" not in self.errors:
            self.add_error("then_wait", _("Say how long."))
        if then and not cleaned.get("expect"):
            self.add_error("then_expect", _("Choose first what the step waits for."))
        elif then and then == cleaned.get("expect"):
            self.add_error("then_expect", _("This is what the step waits for already."))
        if cleaned.get("second_reserve") and not cleaned.get("reserve"):
            # Chosen in the second place only: it is the first that stands in.
            cleaned["reserve"], cleaned["second_reserve"] = cleaned["second_reserve"], None
        if not then:
            # A number without a milestone has no meaning; keeping it would break the table's own rule.
            cleaned["then_wait"] = None
        return cleaned


class StepInline(StackedInline):  # type: ignore[misc]
    model = ChainStep
    form = StepForm
    formset = StepFormSet
    extra = 0
    ordering_field = "order"
    hide_ordering_field = True
    show_change_link = False
    fieldsets = (
        (None, {"fields": (("channel", "expect", "wait"),)}),
        (
            gettext_lazy("More: reserve accounts, a second wait, limits"),
            {
                "fields": (
                    ("reserve", "second_reserve"),
                    ("then_expect", "then_wait"),
                    ("min_wait", "only_tag"),
                    "order",
                ),
                "classes": ("collapse",),
            },
        ),
    )
    formfield_overrides = {DurationColumn: {"form_class": DurationField, "widget": DurationWidget}}

    def get_formset(self, request: HttpRequest, obj: Chain | None = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        fields = formset.form.base_fields
        for name in {"channel", "reserve", "second_reserve"} & set(fields):
            # A new channel is a page with a choice and a check, too much for a pop-up.
            for link in ("can_add_related", "can_change_related", "can_delete_related", "can_view_related"):
                setattr(fields[name].widget, link, False)
        for name in {"reserve", "second_reserve"} & set(fields):
            fields[name].empty_label = _("nobody stands in")
        if "expect" in fields:
            fields["expect"].choices = _named_blank(fields["expect"], _("nothing: go on when the time is over"))
            fields["then_expect"].choices = _named_blank(fields["then_expect"], _("nothing more"))
        if "only_tag" in fields:
            fields["only_tag"].empty_label = _("everybody")
        return formset


def _named_blank(field: Any, words: str) -> list[tuple[str, str]]:
    return [("", words), *((value, label) for value, label in field.choices if value)]


class ChainForm(forms.ModelForm):
    class Meta:
        model = Chain
        fields = ("name", "on_trouble", "dialogue_days")
        labels = {"name": gettext_lazy("Title")}
        help_texts = {"on_trouble": gettext_lazy("An empty balance, a refused token, an outage.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "on_trouble" in self.fields:  # absent for those who may only look
            field: Any = self.fields["on_trouble"]
            field.choices = _named_blank(field, _("as usual: marketing waits, service messages go on"))


@admin.register(Chain)
class ChainAdmin(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]
    list_display = ("shown_name", "shown_steps", "shown_price")
    search_fields = ("name",)
    fields = ("name", "on_trouble", "dialogue_days")
    inlines = (StepInline,)
    form = ChainForm
    compressed_fields = False
    list_before_template = "channels/admin/chain_list_before.html"
    change_form_outer_before_template = "channels/admin/chain_panel.html"
    warn_unsaved_form = True

    class Media:
        css = {"all": ("channels/admin.css",)}
        js = ("channels/chain.js",)

    # ------------------------------------------------------------ list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chain]:
        found: QuerySet[Chain] = (
            super().get_queryset(request).prefetch_related("steps__channel", "steps__reserve", "steps__second_reserve")
        )
        return found

    @display(description=gettext_lazy("Title"), ordering="name")
    def shown_name(self, chain: Chain) -> str:
        return chain.name

    @display(description=gettext_lazy("How it goes"))
    def shown_steps(self, chain: Chain) -> str:
        try:
            return chains.say_chain([Rung.of(step) for step in chain.steps.all()])
        except AccountError as error:
            return _(error.message) % error.params

    @display(description=gettext_lazy("At most"))
    def shown_price(self, chain: Chain) -> str:
        """The dearest way a person can go: each step paid, through its dearest account."""
        prices = [max(one.price for one in chains.accounts_of(step)) for step in chain.steps.all()]
        if not any(prices):
            return _("free")
        first = chain.steps.all()[0].channel
        return price_words(Channel(price=sum(prices), currency=first.currency))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        fresh = not Chain.objects.exists()
        context = {"presets": _presets() if fresh else [], "any_channel": not fresh or Channel.objects.exists()}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    # ------------------------------------------------------------ form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not Channel.objects.exists():
            messages.info(request, _("A chain is made of channels: connect one first."))
            return HttpResponseRedirect(reverse("admin:channels_channel_changelist"))
        context = {"presets": _presets(), "title": _("New chain"), "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**context, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        chain = self.get_object(request, object_id)
        context: dict[str, Any] = {"show_save_and_add_another": False}
        if chain is not None:
            context["panel"] = chain_panel(chain)
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def revert_disabled(self, request: HttpRequest, obj: Chain | None = None) -> bool:
        """History is for reading: a chain's steps have histories of their own and would not come back with it."""
        return True

    # ------------------------------------------------------------ presets

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.use_preset))
        return [path("preset/<slug:slug>/", view, name="channels_chain_preset"), *super().get_urls()]

    def use_preset(self, request: HttpRequest, slug: str) -> HttpResponse:
        """One press: a saved chain from the owner's channels, open for editing."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        preset = next((one for one in chains.PRESETS if one.slug == slug), None)
        if preset is None:
            raise Http404
        steps = chains.plan_preset(preset, _usable_channels())
        if len(steps) < 2:
            messages.error(request, _("For this preset you need: %s.") % _missing(preset, steps))
            return HttpResponseRedirect(reverse("admin:channels_chain_changelist"))
        with transaction.atomic():
            chain = Chain.objects.create(name=_free_name(_(preset.title)))
            for step in steps:
                step.chain = chain
                step.save()
        messages.success(request, _("The chain is made. Look at the waits and change what you like."))
        return HttpResponseRedirect(reverse("admin:channels_chain_change", args=[chain.pk]))


# ---------------------------------------------------------------- what the pages show


def chain_panel(chain: Chain) -> dict[str, Any]:
    """Sentence, steps with price and risk of doubles, warnings."""
    steps = chains.steps_of(chain)
    try:
        rungs = [Rung.of(step) for step in steps]
    except AccountError as error:
        return {"broken": _(error.message) % error.params}
    shown = []
    seen = chains.doubles_seen(rungs)
    for index, (step, rung) in enumerate(zip(steps, rungs, strict=True)):
        last = index == len(rungs) - 1 and not chain.dialogue_days
        risk, _reason = chains.double_risk(rung)
        shown.append(
            {
                "number": index + 1,
                "icon": ICONS[rung.kind],
                "text": chains.say_step(rung, last=last),
                "price": _prices(chains.accounts_of(step)),
                "tag": step.only_tag,
                "risk": "" if last else risk.value,
                "doubles": "" if last else chains.say_doubles(rung, seen),
                "disabled": not any(one.enabled for one in chains.accounts_of(step)),
            }
        )
    problems = chains.validate_chain(rungs, any_first=bool(chain.dialogue_days))
    return {"steps": shown, "warnings": _warnings(problems), "dialogue": _say_dialogue(chain)}


def _say_dialogue(chain: Chain) -> str:
    """What the option does, in one sentence; "" where it is off."""
    if not chain.dialogue_days:
        return ""
    return ngettext(
        "Who has written to you within %(days)s day gets it first where they wrote.",
        "Who has written to you within %(days)s days gets it first where they wrote.",
        chain.dialogue_days,
    ) % {"days": chain.dialogue_days}


def _prices(accounts: Sequence[Channel]) -> str:
    """“4,80 RUB”, or “4,80 RUB / 5,10 RUB” where an account in reserve costs something else."""
    return " / ".join(dict.fromkeys(price_words(one) if one.price else _("free") for one in accounts))


def _warnings(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    return [
        {"step": None if one.step is None else one.step + 1, "text": one.text(), "error": one.level is Level.ERROR}
        for one in problems
    ]


def _usable_channels() -> list[Channel]:
    """Enabled ones first: a preset should work at once."""
    return list(Channel.objects.order_by("-enabled", "price", "pk"))


def _presets() -> list[dict[str, Any]]:
    """Cards: what the preset would become with the owner's channels, or what is missing for it."""
    channels = _usable_channels()
    cards = []
    for preset in chains.PRESETS:
        try:
            steps = chains.plan_preset(preset, channels)
            words = chains.say_chain([Rung.of(step) for step in steps])
        except AccountError:
            steps, words = [], ""
        ready = len(steps) > 1
        cards.append(
            {
                "title": _(preset.title),
                "about": _(preset.about),
                "ready": ready,
                "words": words if ready else "",
                "missing": "" if ready else _missing(preset, steps),
                "url": reverse("admin:channels_chain_preset", args=[preset.slug]),
            }
        )
    return cards


def _missing(preset: chains.Preset, steps: Sequence[ChainStep]) -> str:
    """“SMS, Viber or MAX”."""
    have = {step.channel.kind for step in steps}
    wanted = [one for one in preset.steps if not have.intersection(one.kinds)]
    return ", ".join(_(" or ").join(str(KindChoices(kind.value).label) for kind in one.kinds) for one in wanted)


def _free_name(name: str) -> str:
    """The name, with a number if it is taken."""
    taken = set(Chain.objects.filter(name__startswith=name).values_list("name", flat=True))
    number, free = 2, name
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free
