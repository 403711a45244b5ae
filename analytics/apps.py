from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AnalyticsConfig(AppConfig):
    name = "analytics"
    verbose_name = _("Reports")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from campaigns.selectors import register_touches  # noqa: PLC0415 - models are not there before ready()
        from deliveries.selectors import has_had  # noqa: PLC0415 - as above

        # Imports go one way: the definition cannot ask the engine, so the two are introduced here, above both.
        register_touches(has_had)
