"""Finds the message a receipt without a known id is about (reports.adopt)."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deliveries", "0002_read_by_people")]

    operations = [
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(
                fields=["channel", "address"], name="attempt_in_doubt", condition=models.Q(state="unknown")
            ),
        ),
    ]
