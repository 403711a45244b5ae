"""Slug -> adapter class. A new provider is one file and one line here."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from channels.providers.base import Provider

_MODULES = {
    "smsc": "channels.providers.smsc:Smsc",
    "sms_aero": "channels.providers.sms_aero:SmsAero",
    "sms_aero_viber": "channels.providers.sms_aero_viber:SmsAeroViber",
    "sms_ru": "channels.providers.sms_ru:SmsRu",
    "stream_telecom": "channels.providers.stream_telecom:StreamTelecom",
    "exolve": "channels.providers.exolve:Exolve",
    "green_api_max": "channels.providers.green_api_max:GreenApiMax",
    "max_bot": "channels.providers.max_bot:MaxBot",
    "telegram_bot": "channels.providers.telegram_bot:TelegramBot",
    "green_api_telegram": "channels.providers.green_api_telegram:GreenApiTelegram",
    "vk": "channels.providers.vk:Vk",
    "green_api_whatsapp": "channels.providers.green_api:GreenApiWhatsApp",
    "web_push": "channels.providers.web_push:WebPush",
    "fcm": "channels.providers.fcm:Fcm",
    "rustore": "channels.providers.rustore:RuStore",
    "avito": "channels.providers.avito:Avito",
    "whatsapp_cloud": "channels.providers.whatsapp_cloud:WhatsAppCloud",
    "wazzup_whatsapp": "channels.providers.wazzup_whatsapp:WazzupWhatsApp",
    "wazzup_telegram": "channels.providers.wazzup_telegram:WazzupTelegram",
    "wazzup_max": "channels.providers.wazzup_max:WazzupMax",
    "wazzup_viber": "channels.providers.wazzup_viber:WazzupViber",
    "wazzup_avito": "channels.providers.wazzup_avito:WazzupAvito",
    "smtp": "channels.providers.smtp:Smtp",
    "unisender_go": "channels.providers.unisender_go:UnisenderGo",
    "mail_service": "channels.providers.mail_service:AnyMailService",
    "smsc_voice": "channels.providers.smsc_voice:SmscVoice",
    "telegram_gateway": "channels.providers.telegram_gateway:TelegramGateway",
    "sms_ru_call": "channels.providers.sms_ru_call:SmsRuCall",
    "sms_aero_call": "channels.providers.sms_aero_call:SmsAeroCall",
    "own_http": "channels.providers.own_http:OwnHttp",
    "zadarma": "channels.providers.zadarma:Zadarma",
    "asterisk_ari": "channels.providers.asterisk_ari:AsteriskAri",
    "operator": "channels.providers.operator:Operator",
}


@cache
def provider_class(slug: str) -> type[Provider]:
    """The adapter class for a slug. Raises KeyError for a slug nobody wrote."""
    module, _, name = _MODULES[slug].partition(":")
    found: type[Provider] = getattr(import_module(module), name)
    return found


def slugs() -> list[str]:
    """All known slugs, in the order the owner sees them."""
    return list(_MODULES)
