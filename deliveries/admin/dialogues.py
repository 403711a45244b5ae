"""What people have to decide about people: who an unknown sender is, and whether a doubtful answer was a refusal."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from contacts import phones
from contacts.models import Contact
from contacts.reasons import text as reason_text
from contacts.selectors import found_by
from deliveries.admin.reading import ReadOnlyAdmin, moment
from deliveries.models import InboundMessage, PersonPause
from deliveries.services import dialogues, pausing

#: Of each: enough to recognise somebody by.
SHOWN = 20
FOUND = 10


class NewContactForm(forms.Form):
    """A card for somebody nobody has met."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=200, required=False)
    phone = forms.CharField(label=gettext_lazy("Phone"), max_length=40, required=False)

    def clean_phone(self) -> str | None:
        raw = self.cleaned_data["phone"]
        if not raw:
            return None
        read = phones.normalise(raw)
        if isinstance(read, phones.Rejected):
            raise forms.ValidationError(reason_text(read.reason))
        if Contact.objects.filter(phone=read.e164).exists():
            raise forms.ValidationError(_("Somebody has this phone already: look for them above."))
        return read.e164

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not cleaned.get("phone") and not cleaned.get("name"):
            raise forms.ValidationError(_("Give a name or a phone, so that you find this person again."))
        return cleaned


def who_is_it(page: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """“Who is it?”: look for the person, or make a card. From then on the address is theirs. `page`: the ModelAdmin."""
    if not request.user.has_perm("contacts.change_contact"):  # type: ignore[union-attr]
        raise PermissionDenied
    message = get_object_or_404(InboundMessage.objects.select_related("channel", "contact"), pk=pk)
    back = f"{reverse('admin:deliveries_inboundmessage_changelist')}?sender=unknown"
    if message.contact is not None:
        messages.info(request, _("This sender is known already: %(who)s.") % {"who": message.contact})
        return HttpResponseRedirect(back)
    form = NewContactForm(
        request.POST if "new" in request.POST else None, initial={"phone": dialogues.phone_of(message)}
    )
    chosen: Contact | None = None
    if request.method == "POST" and request.POST.get("contact", "").isdigit():
        chosen = Contact.objects.filter(pk=int(request.POST["contact"])).first()
    elif form.is_bound and form.is_valid() and request.user.has_perm("contacts.add_contact"):  # type: ignore[union-attr]
        chosen = Contact.objects.create(name=form.cleaned_data["name"], phone=form.cleaned_data["phone"])
    if chosen is not None:
        dialogues.assign(message.pk, chosen.pk)
        page.log_change(request, message, f"contact {chosen.pk}")
        messages.success(request, _("From now on this sender is %(who)s.") % {"who": chosen})
        return HttpResponseRedirect(back)
    term = request.GET.get("q", "").strip()
    said = InboundMessage.objects.filter(channel_id=message.channel_id, address=message.address).order_by("-pk")
    answer: HttpResponse = page.page(
        request,
        "who.html",
        title=_("Who is it?"),
        message=message,
        said=said[:SHOWN],
        term=term,
        found=Contact.objects.filter(found_by(term))[:FOUND] if term else (),
        form=form,
        back=back,
    )
    return answer


class DecidedFilter(DropdownFilter):
    """Those to be read stand first."""

    title = gettext_lazy("decided")
    parameter_name = "decided"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", _("to be read")), ("yes", _("read"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PersonPause]) -> QuerySet[PersonPause]:
        match self.value():
            case "no":
                return queryset.filter(decided_at=None)
            case "yes":
                return queryset.exclude(decided_at=None)
        return queryset


@admin.register(PersonPause)
class PersonPauseAdmin(ReadOnlyAdmin):
    """Answers that may have meant “stop”: read, and decide."""

    list_display = ("shown_when", "shown_who", "shown_text", "shown_until", "shown_decision")
    list_display_links = ("shown_when",)
    list_select_related = ("contact", "message", "decided_by")
    list_filter = (DecidedFilter,)
    list_before_template = "deliveries/admin/pause_list_before.html"

    @display(description=gettext_lazy("received"))
    def shown_when(self, pause: PersonPause) -> str:
        return moment(pause.began_at)

    @display(description=gettext_lazy("from"))
    def shown_who(self, pause: PersonPause) -> str:
        url = reverse("admin:contacts_contact_change", args=[pause.contact_id])
        return format_html('<a class="cascade-link" href="{}">{}</a>', url, pause.contact)

    @display(description=gettext_lazy("text"))
    def shown_text(self, pause: PersonPause) -> str:
        return pause.message.text[:200] if pause.message else ""

    @display(description=gettext_lazy("advertising stands still until"))
    def shown_until(self, pause: PersonPause) -> str:
        return "" if pause.decided_at else moment(pause.ends_at)

    @display(description=gettext_lazy("decided"), label={"wait": "warning", "opt_out": "danger", "go_on": "success"})
    def shown_decision(self, pause: PersonPause) -> tuple[str, str]:
        return (pause.decision, str(pause.get_decision_display())) if pause.decision else ("wait", _("to be read"))

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(require_POST(self.decide_view))
        return [path("<int:pk>/decide/", decide, name="deliveries_personpause_decide"), *super().get_urls()]

    def may_decide(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("deliveries.change_personpause"))

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.may_decide(request):
            raise PermissionDenied
        pause = get_object_or_404(PersonPause.objects.select_related("contact"), pk=pk)
        decision = request.POST.get("decision", "")
        if decision not in PersonPause.Decision.values:
            return HttpResponse(status=400)
        if not pausing.decide(pk, decision, request.user.pk):
            messages.info(request, _("This had been decided already."))
        elif decision == PersonPause.Decision.OPT_OUT:
            messages.success(request, _("No advertising to %(who)s any more.") % {"who": pause.contact})
        else:
            messages.success(request, _("Advertising to %(who)s goes on.") % {"who": pause.contact})
        return HttpResponseRedirect(f"{reverse('admin:deliveries_personpause_changelist')}?decided=no")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        pause = self.found(request, object_id)
        if pause is None:
            return self.gone(request, object_id)
        attempt = pause.message.attempt if pause.message else None
        return self.page(
            request,
            "pause.html",
            title=_("Was this a refusal?"),
            pause=pause,
            delivery=attempt.delivery if attempt else None,
            may_decide=self.may_decide(request) and not pause.decided_at,
        )
