"""Message templates: one text, variants per channel kind, live preview with the count of SMS parts and the price."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import Truncator
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin, StackedInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from cascade.vocabulary import ChannelKind
from channels.admin.words import price_words
from channels.models import Channel
from channels.services import approved, invites, texts
from contacts.selectors import VARIABLES, attribute_keys, file_variables
from templates_app.links import LinkError, check_link
from templates_app.models import KindChoices, MessageTemplate, TemplateVariant
from templates_app.rendering import INVITES, TemplateError
from templates_app.segments import GSM_BASIC, GSM_EXTENSION, Encoding
from templates_app.services import Text

#: Longer bodies are nobody's typing.
LONGEST_REQUEST = 200_000
#: So many characters outside GSM may be a slip of the pen.
FEW = 3


class _TextsForm(forms.ModelForm):
    """Shared checks of the template's and the variants' fields."""

    def check_field(self, field: str, *, has_link: bool) -> None:
        value = self.cleaned_data.get(field)
        if not value:
            return
        try:
            texts.check_text(value, has_link=has_link)
        except (TemplateError, LinkError) as error:
            self.add_error(field, _(error.message) % error.params)


class TemplateForm(_TextsForm):
    # Not a URLField: that one completes “salon.ru” to an address nobody typed, and clients would get it.
    link = forms.CharField(
        label=gettext_lazy("Link"),
        required=False,
        max_length=1000,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "url", "spellcheck": "false"}),
        help_text=gettext_lazy("Where {link} leads; clicks are counted."),
    )

    class Meta:
        model = MessageTemplate
        fields = ("name", "text", "link", "subject", "button")
        labels = {"name": gettext_lazy("Title")}
        # Help texts are HTML: the model's own would show an empty place where <name> stands.
        help_texts = {
            "text": gettext_lazy(
                "A variable in braces is filled in for each person: {name}, or {name|friend} for people without a name."
            )
        }
        widgets = {"text": UnfoldAdminTextareaWidget(attrs={"rows": 6})}

    def clean_link(self) -> str:
        """M4: only honest http(s) addresses."""
        link = str(self.cleaned_data["link"])
        if link:
            try:
                check_link(link)
            except LinkError as error:
                raise forms.ValidationError(_(error.message) % error.params) from None
        return link

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        has_link = bool(cleaned.get("link")) or "link" in self.errors
        for field in ("text", "subject", "button"):
            self.check_field(field, has_link=has_link)
        return cleaned


class ApprovedSelect(UnfoldAdminSelectWidget):
    """Each option carries its text, so that the page can put it into the field."""

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        option["attrs"]["data-body"] = self.bodies.get(str(value), "")
        return option

    #: key -> text of the approved template
    bodies: Mapping[str, str] = MappingProxyType({})


class VariantForm(_TextsForm):
    approved = forms.ChoiceField(
        label=gettext_lazy("Approved template"),
        required=False,
        widget=ApprovedSelect,
        help_text=gettext_lazy(
            "For WhatsApp Cloud API. The text must be the approved one, with your variables in the places of {{1}}, {{2}}."
        ),
    )

    class Meta:
        model = TemplateVariant
        fields = ("kind", "text", "subject", "button")
        help_texts = {"text": gettext_lazy("Empty: the text of the template.")}
        widgets = {"text": UnfoldAdminTextareaWidget(attrs={"rows": 4})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mine = self.instance
        field = self.fields["approved"]
        found = approved.choices(ChannelKind.WHATSAPP.value)
        offered = {one.key: one.label for one in found}
        if mine.approved_name:
            key = f"{mine.approved_language}:{mine.approved_name}"
            offered.setdefault(key, _("%(name)s (not approved any more)") % {"name": mine.approved_name})
            field.initial = key
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = [("", _("None: any text")), *offered.items()]
        self.bodies = {one.key: one.body for one in found}
        assert isinstance(field.widget, ApprovedSelect)  # noqa: S101 - declared above
        field.widget.bodies = self.bodies
        if not approved.offers(ChannelKind.WHATSAPP.value):
            del self.fields["approved"]

    def clean(self) -> dict[str, Any]:
        """The approved template belongs to its kind, and the words must be its words."""
        cleaned = super().clean() or self.cleaned_data
        if "approved" not in self.fields:
            return cleaned
        key = cleaned.get("approved") or ""
        if key and cleaned.get("kind") != ChannelKind.WHATSAPP.value:
            self.add_error("approved", _("Approved templates are for WhatsApp only."))
        self.instance.approved_name, self.instance.approved_language = approved.split_key(key)
        return cleaned

    def check_approved(self, inherited: str) -> None:
        """The text, its own or the template's, against the approved one."""
        key = self.cleaned_data.get("approved") or ""
        if key not in self.bodies or "text" in self.errors:
            return
        differs = approved.difference(self.bodies[key], self.cleaned_data.get("text") or inherited)
        if differs:
            self.add_error("text", differs)


class VariantFormSet(BaseInlineFormSet):
    """Variants are checked with the link of the template they are saved with."""

    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            if not form.cleaned_data or form.cleaned_data.get("DELETE"):
                continue
            assert isinstance(form, VariantForm)  # noqa: S101 - what this formset is made of
            for field in ("text", "subject", "button"):
                form.check_field(field, has_link=bool(self.instance.link))
            form.check_approved(self.instance.text)
            if form.errors:
                # The formset has collected its errors already: without this one it would count as valid.
                raise forms.ValidationError(_("A variant has a mistake; see the note beside it."))


class VariantInline(StackedInline):  # type: ignore[misc]
    model = TemplateVariant
    form = VariantForm
    formset = VariantFormSet
    extra = 0
    fields = ("kind", "approved", "text", ("subject", "button"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the approved template where the owner has no channel that wants one."""
        offered = approved.offers(ChannelKind.WHATSAPP.value)
        fields = self.fields if offered else [one for one in self.fields if one != "approved"]
        return [(None, {"fields": fields})]


@admin.register(MessageTemplate)
class MessageTemplateAdmin(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]
    form = TemplateForm
    list_display = ("shown_name", "shown_text", "shown_kinds", "updated_at")
    search_fields = ("name", "text")
    inlines = (VariantInline,)
    fieldsets = (
        (None, {"fields": ("name", "text", "link")}),
        (gettext_lazy("For some channels"), {"fields": (("subject", "button"),)}),
    )
    list_before_template = "channels/admin/template_list_before.html"
    change_form_outer_before_template = "channels/admin/template_help.html"
    change_form_outer_after_template = "channels/admin/template_preview.html"
    warn_unsaved_form = True

    class Media:
        css = {"all": ("channels/admin.css",)}
        js = ("channels/templates.js",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("variants")

    @display(description=gettext_lazy("Title"), ordering="name")
    def shown_name(self, template: MessageTemplate) -> str:
        return template.name

    @display(description=gettext_lazy("Text"))
    def shown_text(self, template: MessageTemplate) -> str:
        return Truncator(template.text).chars(90)

    @display(description=gettext_lazy("Own text for"))
    def shown_kinds(self, template: MessageTemplate) -> str:
        return ", ".join(one.get_kind_display() for one in template.variants.all()) or "—"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"no_templates": not MessageTemplate.objects.exists()}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {
            "preview_url": reverse("admin:templates_app_messagetemplate_preview"),
            "preview_kinds": _kinds(),
            "variable_names": variable_names(),
            "show_save_and_add_another": False,
        }
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def revert_disabled(self, request: HttpRequest, obj: MessageTemplate | None = None) -> bool:
        """History is for reading: variants have histories of their own and would not come back with it."""
        return True

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.preview))
        return [path("preview/", view, name="templates_app_messagetemplate_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """JSON for the page's script: how the text being typed will look, or where its mistake is."""
        if not self.has_view_or_change_permission(request) and not self.has_add_permission(request):
            raise PermissionDenied
        if len(request.body) > LONGEST_REQUEST:
            return JsonResponse({"error": {"message": _("The text is too long.")}}, status=413)
        try:
            asked = json.loads(request.body)
            text = Text(
                *(str(asked.get(name, "")).replace("\r\n", "\n") for name in ("text", "subject", "button", "link"))
            )
            kind = ChannelKind(asked.get("kind", "sms"))
        except (ValueError, AttributeError):
            return JsonResponse({"error": {"message": _("The request cannot be read.")}}, status=400)
        try:
            found = texts.preview(text, kind, settings.PUBLIC_BASE_URL)
        except TemplateError as error:
            place = {"offset": error.position.offset} if text.text else {}
            return JsonResponse({"error": {"message": _(error.message) % error.params, **place}})
        except LinkError as error:
            return JsonResponse({"error": {"message": _(error.message) % error.params}})
        return JsonResponse(
            {
                "summary": summary(found, kind),
                "samples": [
                    {
                        "who": one.who or _("Made-up person"),
                        "text": one.text,
                        "subject": one.subject if kind == ChannelKind.EMAIL else "",
                        "missing": _("No value for: %(names)s. This step is left out for this person.")
                        % {"names": ", ".join(one.missing)}
                        if one.missing
                        else "",
                    }
                    for one in found.samples
                ],
            }
        )


def summary(found: texts.Preview, kind: ChannelKind) -> list[dict[str, str]]:
    """Lines under the preview: parts, price, what makes it dear, what is too long."""
    lines: list[dict[str, str]] = []
    longest = found.longest
    if longest is None:
        return lines
    counted = longest.segments
    if counted is not None:
        parts = ngettext("%(count)s SMS", "%(count)s SMS", counted.parts) % {"count": counted.parts}
        room = ngettext(
            "%(count)s character left in the last one", "%(count)s characters left in the last one", counted.left
        ) % {"count": counted.left}
        lines.append({"level": "", "text": f"{parts}, {room}"})
        if counted.encoding is Encoding.UCS2 and _is_slip(longest.text):
            lines.append(
                {
                    "level": "note",
                    "text": _("The character “%(sign)s” (U+%(code)s) makes a part hold 70 characters instead of 160.")
                    % {"sign": counted.culprit, "code": f"{ord(counted.culprit):04X}"},
                }
            )
    else:
        lines.append(
            {
                "level": "",
                "text": ngettext("%(count)s character", "%(count)s characters", len(longest.text))
                % {"count": len(longest.text)},
            }
        )
    if found.limit and len(longest.text) > found.limit:
        lines.append(
            {"level": "error", "text": _("Too long: this channel takes %(limit)s characters.") % {"limit": found.limit}}
        )
    if found.channel is not None and found.price is not None:
        cost = price_words(Channel(price=found.price, currency=found.channel.currency))
        lines.append(
            {
                "level": "",
                "text": _("%(price)s a person through “%(channel)s”") % {"price": cost, "channel": found.channel.name},
            }
        )
    elif found.channel is None:
        lines.append(
            {
                "level": "note",
                "text": _("You have no enabled channel for %(kind)s.") % {"kind": KindChoices(kind).label},
            }
        )
    return lines


def variable_names() -> list[str]:
    """One name for each field of the card, in the reader's language, then what cards and lists' files brought along."""
    russian = (get_language() or "").startswith("ru")
    able = {one.channel.kind for one in invites.inviters()}
    links = [name for name, kind in INVITES.items() if kind in able and name.isascii() is not russian]
    return [
        *(aliases[-1 if russian else 0] for aliases in VARIABLES.values()),
        *links,
        *sorted(attribute_keys() | file_variables()),
    ]


def _is_slip(text: str) -> bool:
    """A few characters outside GSM in an otherwise GSM text: pasted, and worth naming. In a Russian text every letter
    is outside, and naming the first one would help nobody."""
    outside = sum(sign not in GSM_BASIC and sign not in GSM_EXTENSION for sign in text)
    return outside <= max(FEW, len(text) // 20)


def _kinds() -> list[dict[str, str]]:
    """Kinds to preview: those the owner has channels for, SMS first because there the length is money."""
    mine = set(Channel.objects.values_list("kind", flat=True)) | {ChannelKind.SMS.value}
    ordered = sorted(ChannelKind, key=lambda kind: kind is not ChannelKind.SMS)
    return [{"kind": kind.value, "label": str(KindChoices(kind).label)} for kind in ordered if kind.value in mine]
