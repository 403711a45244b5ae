"""Links that open a dialogue with one of the owner's accounts: for one person, or for anybody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from channels.models import Channel
from channels.providers.base import Provider
from channels.services.accounts import AccountError, adapter_for
from contacts.services import invitations

#: As long as a real one: what a preview and the price of an SMS are counted with.
SAMPLE: Final = "AbCdEfGhIjKlMnOp"
_SAMPLES: Final = {
    "telegram": "https://t.me/your_bot",
    "max": "https://max.ru/your_bot",
    "vk": "https://vk.me/your_page",
}


@dataclass(frozen=True, slots=True)
class Inviter:
    """An account that people can be invited to."""

    channel: Channel
    handle: str
    adapter: Provider

    def link(self, token: str = "") -> str:
        return self.adapter.invite_link(self.handle, token)


def inviters(kinds: Collection[str] | None = None) -> Iterator[Inviter]:
    """Enabled accounts that invite and whose name is known from a passed connection check, oldest first."""
    found = Channel.objects.filter(enabled=True).exclude(state__handle="").select_related("state").order_by("pk")
    for channel in found if kinds is None else found.filter(kind__in=list(kinds)):
        try:
            adapter = adapter_for(channel)
        except AccountError:
            continue
        if adapter.capabilities.invites:
            yield Inviter(channel, channel.state.handle, adapter)


def chosen(kinds: Collection[str], prefer: Collection[int] = ()) -> dict[str, Inviter]:
    """The account of each kind that a text invites to: one of `prefer` (the chain's channels), else the oldest."""
    found: dict[str, Inviter] = {}
    for one in inviters(kinds):
        known = found.get(one.channel.kind)
        if known is None or (one.channel.pk in prefer and known.channel.pk not in prefer):
            found[one.channel.kind] = one
    return found


def issue(contact_ids: Sequence[int], one: Inviter) -> dict[int, str]:
    """Each person's own link to this account; makes or prolongs their invitations."""
    return {contact_id: one.link(token) for contact_id, token in invitations.issue(contact_ids, one.channel.pk).items()}


def links(
    contact_ids: Sequence[int], kinds: Collection[str], prefer: Collection[int] = ()
) -> dict[int, dict[str, str]]:
    """Each person's own links by channel kind. Makes or prolongs their invitations: a statement for each kind."""
    made: dict[int, dict[str, str]] = defaultdict(dict)
    for kind, one in sorted(chosen(kinds, prefer).items()):
        for contact_id, link in issue(contact_ids, one).items():
            made[contact_id][kind] = link
    return made


def samples() -> dict[str, str]:
    """A link of each kind that looks like a real one and is as long, for previews and prices."""
    known = {kind: one.link(SAMPLE) for kind, one in chosen(list(_SAMPLES)).items()}
    return {kind: known.get(kind) or f"{address}?start={SAMPLE}" for kind, address in _SAMPLES.items()}
