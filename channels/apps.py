from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ChannelsConfig(AppConfig):
    name = "channels"
    verbose_name = _("Channels")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from channels.schedule import ensure_ticks  # noqa: PLC0415 - models are not there before ready()

        post_migrate.connect(ensure_ticks, sender=self, dispatch_uid="channels.ticks")
