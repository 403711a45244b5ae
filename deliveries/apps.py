from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class DeliveriesConfig(AppConfig):
    name = "deliveries"
    verbose_name = _("Deliveries")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from campaigns.selectors import register_words  # noqa: PLC0415
        from deliveries.schedule import ensure_ticks  # noqa: PLC0415 - models are not there before ready()
        from deliveries.selectors import has_written  # noqa: PLC0415

        register_words(has_written)
        post_migrate.connect(ensure_ticks, sender=self, dispatch_uid="deliveries.ticks")
