"""What came in: people's words, and providers' reports as they were received."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from deliveries.admin.delivery import people_found
from deliveries.admin.dialogues import who_is_it
from deliveries.admin.reading import ReadOnlyAdmin, moment
from deliveries.models import InboundMessage, Receipt
from deliveries.services import receipts
from deliveries.words import masked_text, receipt_note

RECEIPT_COLOURS: dict[str, str] = {
    Receipt.State.NEW: "info",
    Receipt.State.APPLIED: "success",
    Receipt.State.PARKED: "warning",
    Receipt.State.IGNORED: "default",
    Receipt.State.QUARANTINED: "danger",
}


class MatchedFilter(DropdownFilter):
    """Whether we know who wrote."""

    title = gettext_lazy("sender")
    parameter_name = "sender"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("known", _("known")), ("unknown", _("nobody knows who"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[InboundMessage]) -> QuerySet[InboundMessage]:
        match self.value():
            case "known":
                return queryset.filter(contact__isnull=False)
            case "unknown":
                return queryset.filter(contact__isnull=True)
        return queryset


@admin.register(InboundMessage)
class InboundMessageAdmin(ReadOnlyAdmin):
    list_display = ("shown_when", "shown_who", "shown_text", "shown_intent", "channel", "shown_answers")
    list_display_links = None
    list_select_related = ("channel", "contact", "attempt__delivery__campaign")
    list_filter = (MatchedFilter, ("intent", ChoicesDropdownFilter), ("channel", RelatedDropdownFilter))
    search_fields = ("text",)
    search_help_text = gettext_lazy("Phone or name of the person, address, or words of the message")
    list_before_template = "deliveries/admin/inbound_list_before.html"
    fields = ("received_at", "shown_who", "address", "channel", "text", "payload", "intent", "note", "shown_answers")
    readonly_fields = ("shown_who", "shown_answers")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.who_view)
        return [path("<int:pk>/who/", view, name="deliveries_inboundmessage_who"), *super().get_urls()]

    def who_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return who_is_it(self, request, pk)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[InboundMessage], search_term: str
    ) -> tuple[QuerySet[InboundMessage], bool]:
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        said = Q(contact_id__in=people_found(term)) | Q(address=term) | Q(text__icontains=term)
        return queryset.filter(said), False

    @display(description=gettext_lazy("received"))
    def shown_when(self, message: InboundMessage) -> str:
        return moment(message.received_at)

    @display(description=gettext_lazy("from"))
    def shown_who(self, message: InboundMessage) -> str:
        if message.contact is None:
            url = reverse("admin:deliveries_inboundmessage_who", args=[message.pk])
            return format_html('{} <a class="cascade-link" href="{}">{}</a>', message.address, url, _("Who is it?"))
        url = reverse("admin:contacts_contact_change", args=[message.contact_id])
        return format_html('<a class="cascade-link" href="{}">{}</a>', url, message.contact)

    @display(description=gettext_lazy("text"))
    def shown_text(self, message: InboundMessage) -> str:
        if message.payload and not message.text:
            return _("button pressed")
        if message.text.startswith("/start"):
            return f"{_('opened the dialogue')}. {message.get_note_display()}".strip()
        if message.note and not message.text:
            return message.get_note_display()
        return message.text if len(message.text) <= 200 else f"{message.text[:200]}…"

    @display(
        description=gettext_lazy("taken for"),
        label={"opt_out": "danger", "doubtful": "warning", "yes": "success", "no": "default"},
    )
    def shown_intent(self, message: InboundMessage) -> tuple[str, str] | str:
        return (message.intent, message.get_intent_display()) if message.intent else ""

    @display(description=gettext_lazy("in answer to"))
    def shown_answers(self, message: InboundMessage) -> str:
        if message.attempt is None:
            return ""
        delivery = message.attempt.delivery
        url = reverse("admin:deliveries_delivery_change", args=[delivery.pk])
        return format_html('<a class="cascade-link" href="{}">{}</a>', url, delivery.campaign or _("Message"))


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    list_display = ("shown_when", "channel", "shown_state", "shown_note", "shown_body")
    list_select_related = ("channel",)
    list_filter = (("state", ChoicesDropdownFilter), ("channel", RelatedDropdownFilter))
    list_before_template = "deliveries/admin/receipt_list_before.html"
    actions = ("work_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Receipt]:
        found: QuerySet[Receipt] = super().get_queryset(request)
        return found.defer("headers", "dedup_key")

    @display(description=gettext_lazy("received"))
    def shown_when(self, receipt: Receipt) -> str:
        return moment(receipt.received_at)

    @display(description=gettext_lazy("state"), label=RECEIPT_COLOURS)
    def shown_state(self, receipt: Receipt) -> tuple[str, str]:
        return receipt.state, str(receipt.get_state_display())

    @display(description=gettext_lazy("note"))
    def shown_note(self, receipt: Receipt) -> str:
        return receipt_note(receipt.note)

    @display(description=gettext_lazy("as it came, phones hidden"))
    def shown_body(self, receipt: Receipt) -> str:
        text = _readable(receipt)
        return text if len(text) <= 70 else f"{text[:70]}…"

    def has_work_again_permission(self, request: HttpRequest) -> bool:
        """Whoever may change receipts may have them read again."""
        return bool(request.user.has_perm("deliveries.change_receipt"))

    @admin.action(description=gettext_lazy("Process again"), permissions=["work_again"])
    def work_again(self, request: HttpRequest, queryset: QuerySet[Receipt]) -> None:
        """Back into the inbox. Safe for any of them: milestones only rise, and a message is kept once (R5)."""
        put = receipts.process_again(list(queryset.values_list("pk", flat=True)))
        text = ngettext("%(count)s receipt is processed again.", "%(count)s receipts are processed again.", put)
        self.message_user(request, text % {"count": put}, messages.SUCCESS)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What a provider sent, for support: masked, because a ticket travels."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        receipt = self.found(request, object_id)
        if receipt is None:
            return self.gone(request, object_id)
        return self.page(
            request,
            "receipt.html",
            title=_("Receipt of %(channel)s") % {"channel": receipt.channel},
            receipt=receipt,
            badge=RECEIPT_COLOURS[receipt.state],
            note=receipt_note(receipt.note),
            body=_readable(receipt),
        )


def _readable(receipt: Receipt) -> str:
    """Query and body as text with phones and e-mails masked."""
    body = bytes(receipt.body).decode("utf-8", "replace").replace("\x00", "")
    query = "&".join(f"{name}={value}" for name, value in receipt.query.items())
    return masked_text("\n".join(one for one in (query, body) if one))
