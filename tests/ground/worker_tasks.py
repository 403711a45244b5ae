"""Tasks for the worker tests; loaded only by workers started with --include."""

import os

from celery import shared_task
from django.core.cache import cache
from django.db import connection


@shared_task(name="deliveries.send_ground_probe")
def probe(key: str) -> None:
    """Leave a mark in the broker's database that tells which connection was used."""
    import redis

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.rpush(key, f"{backend}")
    client.close()
    cache.clear()
