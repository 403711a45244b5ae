from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ChannelsConfig(AppConfig):
    name = "channels"
    verbose_name = _("Channels")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from channels.models import Channel  # noqa: PLC0415 - models are not there before ready()
        from channels.schedule import ensure_ticks  # noqa: PLC0415 - models are not there before ready()
        from contacts.selectors import register_channel_names  # noqa: PLC0415 - its models are not there before ready()

        register_channel_names(lambda: dict(Channel.objects.values_list("pk", "name")))
        post_migrate.connect(ensure_ticks, sender=self, dispatch_uid="channels.ticks")
