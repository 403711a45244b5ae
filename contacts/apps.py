from django.apps import AppConfig
from django.contrib.postgres.indexes import OpClass
from django.db.models.expressions import OrderBy
from django.db.models.functions import Collate
from django.db.models.indexes import IndexExpression
from django.db.models.signals import post_migrate, pre_save
from django.utils.translation import gettext_lazy as _


class ContactsConfig(AppConfig):
    name = "contacts"
    verbose_name = _("Contacts")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the stop-list to every saving of a card; register the system checks."""
        # What django.contrib.postgres does when it is an installed app: without it the trigram index of names is
        # written as wrong SQL. Repeating it is harmless.
        IndexExpression.register_wrappers(OrderBy, OpClass, Collate)
        from contacts import checks  # noqa: F401, PLC0415  models must be loaded first
        from contacts.schedule import ensure_ticks  # noqa: PLC0415  models must be loaded first
        from contacts.services.suppressions import guard_new_contact  # noqa: PLC0415  models must be loaded first

        pre_save.connect(guard_new_contact, sender="contacts.Contact", dispatch_uid="contacts.stop_list")
        post_migrate.connect(ensure_ticks, sender=self, dispatch_uid="contacts.ticks")
