from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = _("API")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the OpenAPI document know our keys; make the tick."""
        from api import schema  # noqa: F401, PLC0415 - registers itself; models are not there before ready()
        from api.schedule import ensure_ticks  # noqa: PLC0415 - models are not there before ready()

        post_migrate.connect(ensure_ticks, sender=self, dispatch_uid="api.ticks")
