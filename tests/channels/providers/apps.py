"""What the push adapters' tests share: receipts of an app at the account's public address."""

from dataclasses import replace
from datetime import timedelta

from channels.providers import wire
from channels.providers.base import Call, CallbackRequest
from tests.channels.providers.contract import CALLBACK_SECRET, ProviderContract

KEY = wire.app_key(CALLBACK_SECRET)


class PushContract(ProviderContract):
    """The battery for a wire whose receipts come from the owner's app."""

    unknown_status = {"ref": "AbCdEfGhIjKlMnOpQrSt_1", "event": "swiped"}

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        return replace(request, query={**request.query, "key": KEY})

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        wrong = (("0" if KEY[0] != "0" else "1") + KEY[1:], KEY[:-1], KEY + "0", KEY.upper(), "", CALLBACK_SECRET)
        return [replace(request, query=query) for query in [*({"key": each} for each in wrong), {}]]

    def check_ttl(self, call: Call, asked: timedelta) -> None:
        life = timedelta(seconds=self.life(call))
        assert life == min(max(asked, timedelta(seconds=1)), timedelta(days=28))

    def life(self, call: Call) -> int:
        """Seconds the request lets the message live."""
        raise NotImplementedError
