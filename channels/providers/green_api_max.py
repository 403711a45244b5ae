"""GREEN-API for MAX: writes by phone, from an ordinary MAX account (QR code or SMS), not MAX's official bot.

Sources: green-api.com/v3/docs/api (release 3.8.37 of 2026-08-13), max-api-client-python 1.0.1, as read in our fact
sheet of 2026-11-22, section 4, corrections A2, A29-A31; the rest in channels.providers.green_wire.

checkAccount takes numbers of Russia (+7) and Belarus (+375) only. A person with "safe mode" or hidden phone search may
look absent.

Unverified, and how we live with it:
* `deleteMessage`: on a page of the documentation, not in the official SDK (A29): off unless the owner switches it on.
* `delivered` is the gateway's own conclusion: counts as sent unless the owner believes it; trust `read`.
* whether statuses `sent` and `noAccount` are ever sent for MAX: understood if they come.
* the prefix /v3 is what the SDK uses and the documentation calls optional: part of the default address.
* a personal chat's id is a number, a group's is not or is negative: what is not digits is nobody's answer to us.
* a refused chatId ends the step; it is not remembered against the person.
* how long the messenger limits checks ("User get contact info limit reached"): the owner's number of minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from cascade.vocabulary import ChannelKind
from channels.providers.base import N_, option
from channels.providers.green_wire import BY_PHONE, GreenByPhone, GreenByPhoneConfig


@dataclass(frozen=True, slots=True)
class GreenApiMaxConfig(GreenByPhoneConfig):
    recall_by_delete: bool = option(
        N_("Take messages back by deleting them"),
        N_("GREEN-API's page has it for MAX, its own library does not. Try it with a message to yourself first."),
        default=False,
        rare=True,
    )


CAPABILITIES: Final = replace(BY_PHONE, max_text=4000)


class GreenApiMax(GreenByPhone):
    slug: ClassVar[str] = "green_api_max"
    kind: ClassVar[ChannelKind] = ChannelKind.MAX
    title: ClassVar[str] = N_("GREEN-API (MAX by phone)")
    base_url: ClassVar[str] = "https://api.green-api.com/v3"
    messenger: ClassVar[str] = "MAX"
    prefixes: ClassVar[tuple[str, ...]] = ("7", "375")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = GreenApiMaxConfig

    config: GreenApiMaxConfig

    def __init__(self, config: Any, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self.capabilities = replace(self.capabilities, recall=self.config.recall_by_delete)
