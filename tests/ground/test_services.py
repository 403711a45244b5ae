"""The servers the suite stands on."""

import pytest
from django.db import connection


@pytest.mark.django_db
def test_cyrillic_is_folded_whatever_the_callers_locale() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'ПРИВЕТ, ЁЖ' ILIKE '%привет, ёж%', upper('привет'), lower('ЁЖ')")
        assert cursor.fetchone() == (True, "ПРИВЕТ", "ёж")


def test_worker_and_beat_and_web(processes) -> None:
    processes.worker("send", concurrency=1)
    processes.beat()
    processes.web()
