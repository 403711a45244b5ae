"""Connecting an account, on its page: the checklist of channels.services.setup in words, and its buttons."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin

from cascade.vocabulary import AddressKind, Milestone
from channels.admin.form import ADDRESS_HELP, TestMessageForm
from channels.admin.invitation import invitation_view
from channels.admin.words import charged_words, is_known, price_words
from channels.models import Channel, ChannelPull, ChannelSetup
from channels.providers.base import Capabilities
from channels.services import accounts, approved, chains, checks, incoming, setup
from channels.services.accounts import AccountError
from channels.services.chains import steps_through
from channels.services.setup import Key, Mark, Step

#: How often a page that waits for a receipt looks, in milliseconds.
EVERY = 3000

_TITLES = {
    Key.ENTERED: gettext_noop("Credentials are entered"),
    Key.CHECKED: gettext_noop("The connection is checked"),
    Key.RECEIPTS: gettext_noop("Receipts are connected"),
    Key.TESTED: gettext_noop("A test message is sent to yourself"),
    Key.HEARD: gettext_noop("The first receipt has come"),
    Key.CHAINED: gettext_noop("The channel stands in a chain"),
}
_ICONS = {
    Mark.DONE: "check_circle",
    Mark.OPEN: "radio_button_unchecked",
    Mark.WAITING: "hourglass_top",
    Mark.TROUBLE: "error",
    Mark.NOTE: "info",
    Mark.LATER: "radio_button_unchecked",
}
_SAID = {
    Mark.DONE: gettext_noop("done"),
    Mark.OPEN: gettext_noop("to do"),
    Mark.WAITING: gettext_noop("waiting"),
    Mark.TROUBLE: gettext_noop("needs attention"),
    Mark.NOTE: gettext_noop("works without it"),
    Mark.LATER: gettext_noop("comes later"),
}

_NOT_PUBLIC = gettext_noop(
    "Providers can call only a public https address, and this installation has none. Whoever installed it gives the server "
    "a domain with https, sets PUBLIC_BASE_URL to it and restarts."
)
_ASKED_MEANWHILE = gettext_noop("Until then statuses are asked for: they come a little later, and replies do not come.")
_NOTHING_MEANWHILE = gettext_noop("Until then nothing comes back here: no replies, no pressed buttons, no STOP.")
_PULLED = gettext_noop(
    "This server has no public https address, so it asks the provider for replies and receipts itself, every few seconds."
)
_PULLED_BY_CHOICE = gettext_noop(
    "This server asks the provider for replies and receipts every few seconds, as chosen under “Connection”."
)
_MAILBOX = gettext_noop("Letters that come back and answers are read from the mailbox every half a minute.")
_PER_MESSAGE = gettext_noop("Nothing to set up for receipts: every message tells the provider where to report.")
_PASTE = gettext_noop("Paste this address into the provider's cabinet as the address for receipts (callback, webhook):")
_LIKE_A_PASSWORD = gettext_noop(
    "Treat it like a password: who knows it can report receipts in the provider's name. This step ticks itself when the "
    "first receipt comes."
)
_ONE_PRESS = gettext_noop(
    "One press tells the provider the address of this installation. If another program gets this account's receipts now, it "
    "will get them no longer."
)
_PASTED_FIRST = gettext_noop(
    "The provider's cabinet must know an address before it takes one this way: paste this one there. If it asks for a "
    "verify token, that is the last part of the address, between the last two slashes."
)
_MOVED = gettext_noop("The address of this installation has changed since then: connect the receipts again.")
_CHECK_FIRST = gettext_noop("Asks the provider whether it knows this account. Nothing is sent to anybody.")
_TEST_WHY = gettext_noop("A real message to yourself shows what your clients will see.")
_WRITE_FIRST = gettext_noop("Write to this account from your own phone first: then it knows where to answer.")
_SUBSCRIBE_FIRST = gettext_noop(
    "Register your own device first: in the app, or by the link to subscribe in a message to yourself through another channel."
)
_WRITE_FOR_FREE_TEXT = gettext_noop(
    "Write to this number from your own phone first: to who has not written in the last day it sends approved templates only."
)
_WAIT = gettext_noop("Waiting for the provider's word about your message. This page looks by itself.")
_WAIT_ANSWER = gettext_noop(
    "Messages of this kind bring no receipt of delivery. Press the button under the test message or answer it: that comes "
    "back here."
)
_SO_FAR = gettext_noop("So far: %(milestone)s.")
_NOTHING_CAME = gettext_noop("Nothing has come for ten minutes.")
_LOOK_CABINET = gettext_noop(
    "Look whether the message has arrived, and what the provider's cabinet says about it. Then send another one."
)
_LOOK_PASTED = gettext_noop(
    "Look whether the address stands in the provider's cabinet exactly as shown above, without spaces or quotes, and whether "
    "the cabinet calls the message delivered. Then send another one."
)
_FAILED = gettext_noop("The provider reports that the test message did not arrive: %(detail)s")
_HEARD = gettext_noop("The provider reported: %(milestone)s.")
_AFTER_TEST = gettext_noop("Comes after the test message.")
_AFTER_RECEIPTS = gettext_noop("Comes when receipts are connected.")
_CHAIN_WHY = gettext_noop("A channel sends when a chain has it as a step.")


@dataclass(slots=True)
class Row:
    """One step as it is shown; at most one of `post` and `href` is its button."""

    key: Key
    mark: Mark
    icon: str
    said: str
    title: str
    at: datetime | None
    words: list[str] = field(default_factory=list)
    label: str = ""
    label_icon: str = ""
    post: str = ""
    href: str = ""
    copy: str = ""
    chains: list[tuple[str, str]] = field(default_factory=list)
    #: The step to take now.
    current: bool = False
    at_once: bool = False


_AT_ONCE = {Key.CHECKED: "check", Key.RECEIPTS: "connect"}


def checklist(channel: Channel, *, at_once: Container[str] = ()) -> dict[str, Any]:
    """What channels/admin/channel_setup.html shows. No network.

    `at_once`: "check" or "connect", to press that button as soon as the page is open.
    """
    steps = setup.steps(channel)
    capabilities = accounts.capabilities_of(channel)
    facts = setup.of(channel)
    rows = [_row(channel, step, capabilities, facts) for step in steps]
    open_rows = [row for row, step in zip(rows, steps, strict=True) if step.mark not in {Mark.DONE, Mark.NOTE}]
    if open_rows:
        open_rows[0].current = True
    for row in rows:
        row.at_once = _AT_ONCE.get(row.key, "-") in at_once
    return {
        "setup": {
            "channel": channel,
            "rows": rows,
            "done": len(rows) - len(open_rows),
            "total": len(rows),
            "complete": not open_rows,
            "current": open_rows[0].key if open_rows else "",
            "waiting": any(step.mark is Mark.WAITING for step in steps),
            "url": reverse("admin:channels_channel_setup", args=[channel.pk]),
            "every": EVERY,
        }
    }


def _row(channel: Channel, step: Step, capabilities: Capabilities, facts: ChannelSetup) -> Row:
    row = Row(step.key, step.mark, _ICONS[step.mark], _(_SAID[step.mark]), _(_TITLES[step.key]), step.at)
    match step.key:
        case Key.ENTERED:
            row.words = _entered(channel)
        case Key.CHECKED:
            row.words = [_(facts.check_message) % facts.check_params] if facts.checked_at else [_(_CHECK_FIRST)]
            row.post, row.label, row.label_icon = _url("check_now", channel), _("Check the connection"), "network_check"
        case Key.RECEIPTS:
            _receipts(row, step, channel, capabilities, facts)
        case Key.TESTED:
            row.words = [] if step.mark is Mark.DONE else _before_test(channel, capabilities)
            row.href, row.label, row.label_icon = _url("test", channel), _("Send a test to me"), "outgoing_mail"
        case Key.HEARD:
            row.words = list(_heard(step, capabilities, facts))
        case Key.CHAINED:
            _chained(row, step, channel)
    return row


def _entered(channel: Channel) -> list[str]:
    try:
        accounts.adapter_for(channel)
    except AccountError as error:
        return [_(error.message) % error.params]
    return []


def _receipts(row: Row, step: Step, channel: Channel, capabilities: Capabilities, facts: ChannelSetup) -> None:
    if incoming.is_pulled(channel, capabilities):
        _pulled(row, channel, mailbox=capabilities.pull_always)
        return
    by_api = not (capabilities.callback_set_by_hand or capabilities.callback_per_message)
    if step.mark in {Mark.NOTE, Mark.TROUBLE}:
        row.words = [_(_NOT_PUBLIC), _(_ASKED_MEANWHILE if capabilities.poll_batch else _NOTHING_MEANWHILE)]
        return
    if by_api:
        if step.mark is Mark.OPEN:
            row.words = [_(_MOVED)] if facts.receipts_at else [_(_ONE_PRESS)]
            if capabilities.callback_pasted_first:
                row.words.append(_(_PASTED_FIRST))
                row.copy = accounts.callback_url(channel)
        row.post, row.label, row.label_icon = _url("receipts", channel), _("Connect receipts"), "webhook"
    elif capabilities.callback_per_message:
        row.words = [_(_PER_MESSAGE)]
    else:
        row.words = [_(_PASTE)]
        row.copy = accounts.callback_url(channel)
        if step.mark is Mark.OPEN:
            row.words.append(_(_LIKE_A_PASSWORD))


def _pulled(row: Row, channel: Channel, *, mailbox: bool) -> None:
    pull = ChannelPull.objects.filter(pk=channel.pk).first()
    by_choice = incoming.has_public_address()
    row.words = [_(_MAILBOX if mailbox else _PULLED_BY_CHOICE if by_choice else _PULLED)]
    if pull is not None and pull.trouble:
        row.words.append(_(pull.trouble) % pull.trouble_params)
    elif pull is None or pull.asked_at is None:
        row.words.append(_("It has not asked yet."))
    if not mailbox:
        row.post, row.label, row.label_icon = _url("receipts", channel), _("Connect receipts"), "webhook"


def _before_test(channel: Channel, capabilities: Capabilities) -> list[str]:
    words = [_(_TEST_WHY)]
    if channel.price:
        words.append(_("It costs %(price)s.") % {"price": price_words(channel)})
    if capabilities.address is AddressKind.CHAT_ID:
        words.append(_(_WRITE_FIRST))
    if capabilities.address is AddressKind.DEVICE:
        words.append(_(_SUBSCRIBE_FIRST))
    if capabilities.templates:
        words.append(_(_WRITE_FOR_FREE_TEXT))
    return words


def _heard(step: Step, capabilities: Capabilities, facts: ChannelSetup) -> list[str]:
    if step.mark is Mark.LATER:
        return [_(_AFTER_RECEIPTS if facts.tested_at else _AFTER_TEST)]
    if facts.heard == setup.FAILED:
        return [_(_FAILED) % {"detail": facts.heard_detail or "-"}, _(_LOOK_CABINET)]
    heard = [chains.milestone_label(Milestone(facts.heard))] if facts.heard else []
    if step.mark is Mark.DONE:
        return [_(_HEARD) % {"milestone": one} for one in heard]
    so_far = [_(_SO_FAR) % {"milestone": one} for one in heard]
    if step.mark is Mark.WAITING:
        silent = not {Milestone.DELIVERED, Milestone.READ} & set(capabilities.reports)
        return [_(_WAIT_ANSWER if silent else _WAIT), *so_far]
    pasted = capabilities.callback_set_by_hand and not capabilities.poll_batch
    return [_(_NOTHING_CAME), *so_far, _(_LOOK_PASTED if pasted else _LOOK_CABINET)]


def _chained(row: Row, step: Step, channel: Channel) -> None:
    if step.mark is Mark.DONE:
        named = steps_through(channel).order_by("chain__name").values_list("chain_id", "chain__name").distinct()
        row.chains = [(reverse("admin:channels_chain_change", args=[pk]), name) for pk, name in named[:10]]
    else:
        row.words = [_(_CHAIN_WHY)]
        row.href, row.label, row.label_icon = reverse("admin:channels_chain_add"), _("Make a chain"), "account_tree"


def _url(name: str, channel: Channel) -> str:
    return reverse(f"admin:channels_channel_{name}", args=[channel.pk])


# ---------------------------------------------------------------- buttons


class ConnectingAdmin(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]
    """The buttons of a channel's page: each asks or tells the provider something, and what came of it is noted."""

    def get_urls(self) -> list[URLPattern]:
        def own(where: str, view: Any, name: str) -> URLPattern:
            return path(f"<int:pk>/{where}/", self.admin_site.admin_view(view), name=f"channels_channel_{name}")

        return [
            own("check", require_POST(self.check_now), "check_now"),
            own("balance", require_POST(self.balance_now), "balance"),
            own("receipts", require_POST(self.receipts_here), "receipts"),
            own("templates", require_POST(self.templates_now), "templates"),
            own("switch", require_POST(self.switch), "switch"),
            own("test", self.send_test, "test"),
            own("setup", never_cache(require_GET(self.setup_part)), "setup"),
            path("invite/<int:contact_id>/", self.admin_site.admin_view(self.invite), name="channels_channel_invite"),
            *super().get_urls(),
        ]

    def invite(self, request: HttpRequest, contact_id: int) -> HttpResponse:
        """A person's own links; it stands here because contacts know no channels."""
        return invitation_view(self, request, contact_id)

    def check_now(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = self._mine(request, pk)
        verdict = checks.self_test(channel)
        setup.note_check(channel, verdict)
        say(request, verdict)
        if (opened := checks.check_mailbox(channel)) is not None:
            say(request, opened)
        return HttpResponseRedirect(change_url(channel))

    def balance_now(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = self._mine(request, pk)
        say(request, checks.ask_balance(channel))
        return HttpResponseRedirect(change_url(channel))

    def templates_now(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = self._mine(request, pk)
        say(request, approved.sync(channel))
        return HttpResponseRedirect(change_url(channel))

    def receipts_here(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = self._mine(request, pk)
        verdict = checks.connect_receipts(channel)
        if verdict.ok:
            setup.note_receipts(channel)
        say(request, verdict)
        return HttpResponseRedirect(change_url(channel))

    def switch(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = self._mine(request, pk)
        channel.enabled = not channel.enabled
        channel.save(update_fields=["enabled"])
        if channel.enabled:
            messages.success(request, _("The channel is switched on."))
        else:
            messages.warning(request, _("The channel is switched off. Running cascades skip it from now on."))
        return HttpResponseRedirect(change_url(channel))

    def setup_part(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The checklist alone, for a page that waits. X-Settled ends its asking."""
        channel = self._mine(request, pk)
        context = checklist(channel)
        if context["setup"]["waiting"]:
            setup.ask_about_test(channel)
            context = checklist(channel)
        answer = render(request, "channels/admin/channel_setup.html", context)
        if not context["setup"]["waiting"]:
            answer["X-Settled"] = "1"
        return answer

    def send_test(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A page of its own, because a test costs money: the button names the price."""
        channel = self._mine(request, pk)
        capabilities = accounts.capabilities_of(channel)
        initial = {
            "text": _("Test message from Cascade. If you read this, the channel works."),
            "address": setup.remembered_address(channel, request.user),
        }
        form = TestMessageForm(request.POST or None, initial=initial)
        form.fields["address"].help_text = _(ADDRESS_HELP[capabilities.address])
        if request.method == "POST" and form.is_valid():
            typed = form.cleaned_data["address"]
            # A button gives a silent bot something to report.
            verdict = checks.send_test(
                channel, typed, form.cleaned_data["text"], subject=_("Test message"), button=_("It works")
            )
            say(request, verdict)
            if verdict.sent is not None:
                setup.note_test(channel, request.user, typed, verdict.sent)
                return HttpResponseRedirect(change_url(channel))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Test message: %(channel)s") % {"channel": channel.name},
            "opts": self.opts,
            "media": self.media,
            "original": channel,
            "channel": channel,
            "form": form,
            "price": price_words(channel) if channel.price else "",
            "charged": charged_words(channel.charged_on),
            "back": change_url(channel),
        }
        return TemplateResponse(request, "channels/admin/channel_test.html", context)

    def _mine(self, request: HttpRequest, pk: int) -> Channel:
        """The channel, if this person may change it and its provider is known."""
        channel = get_object_or_404(Channel, pk=pk)
        if not self.has_change_permission(request, channel) or not is_known(channel.provider):
            raise PermissionDenied
        return channel


def change_url(channel: Channel) -> str:
    """The channel's page."""
    return reverse("admin:channels_channel_change", args=[channel.pk])


def say(request: HttpRequest, verdict: checks.Verdict) -> None:
    """Tell what came out, once, on the next page."""
    level = messages.SUCCESS if verdict.ok else messages.ERROR
    text = verdict.text()
    if verdict.detail and not verdict.ok and verdict.detail not in text:
        text = f"{text} ({verdict.detail})"
    messages.add_message(request, level, text)
