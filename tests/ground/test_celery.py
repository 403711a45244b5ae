"""Hints may get lost, workers outlive their servers' bad days."""

import logging
import os
import time

import psycopg
import pytest
import redis
from celery import Celery, current_app
from django.conf import settings

from cascade_project.celery import HintTask
from tests.ground.worker_tasks import probe
from tests.plugins.processes import Processes

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("deliveries.send", "send"),
        ("deliveries.send_batch", "send"),
        ("contacts.import_file", "import"),
        ("deliveries.advance", "default"),
        ("analytics.anything", "default"),
    ],
)
def test_routes_follow_names(task: str, queue: str) -> None:
    options = current_app.amqp.router.route({}, task)
    assert options["queue"].name == queue


def test_messages_are_json_and_nobody_stores_results() -> None:
    assert current_app.conf.accept_content == ["json"]
    assert current_app.conf.task_ignore_result
    assert current_app.conf.result_backend is None
    assert current_app.conf.task_acks_late
    assert current_app.conf.get("CELERY_DB_REUSE_MAX") == settings.CELERY_DB_REUSE_MAX


def test_no_task_may_outlast_the_brokers_patience() -> None:
    longest = max(task.time_limit or 0 for task in current_app.tasks.values())
    assert (
        max(longest, settings.CELERY_TASK_TIME_LIMIT) < settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    )


def test_a_hint_without_a_broker_is_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """The broker's address is where nobody listens; a page must answer all the same, and soon."""
    app = Celery("lonely", task_cls=HintTask, set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_url = "redis://127.0.0.1:1/0"

    @app.task(name="deliveries.send_lonely")
    def lonely() -> None:
        """Never runs."""

    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        lonely.delay()
    assert time.monotonic() - started < 3
    assert "deliveries.send_lonely is left to the next tick" in caplog.text


@pytest.mark.processes
def test_a_worker_works_on_after_a_flush_of_redis(processes: Processes, broker: "redis.Redis") -> None:
    processes.worker("send", concurrency=1, arguments=["--include=tests.ground.worker_tasks"])
    probe.delay("before")
    processes.until(lambda: broker.llen("before"), what="the first task ran")
    broker.flushdb()
    probe.delay("after")
    processes.until(lambda: broker.llen("after"), what="a task sent after the flush ran")


@pytest.mark.processes
def test_a_worker_keeps_its_connection_and_replaces_a_broken_one(processes: Processes, broker: "redis.Redis") -> None:
    processes.worker("send", concurrency=1, arguments=["--include=tests.ground.worker_tasks"])
    for _ in range(3):
        probe.delay("calm")
    processes.until(lambda: broker.llen("calm") == 3, what="three tasks ran")
    backends = set(broker.lrange("calm", 0, -1))
    assert len(backends) == 1, "a new connection for every task"
    with psycopg.connect(processes.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [int(backends.pop())])
    probe.delay("storm")
    processes.until(lambda: broker.llen("storm"), what="a task ran on a new connection")


@pytest.mark.processes
def test_a_dead_worker_child_is_replaced(processes: Processes, broker: "redis.Redis") -> None:
    worker = processes.worker("send", concurrency=1, arguments=["--include=tests.ground.worker_tasks"])
    killed = worker.kill_one_child()
    processes.until(lambda: worker.children() and killed not in worker.children(), what="a new child")
    probe.delay("again")
    processes.until(lambda: broker.llen("again"), what="the new child worked")
    assert worker.process.poll() is None
    assert os.getpid() != killed
