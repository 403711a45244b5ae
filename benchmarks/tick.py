"""`tick`: what a look for due work costs while 1,000,000 deliveries wait and none is due, against an empty table.

Ours and the limit are the same call, services.advance.advance_due(); the only difference is the million rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from benchmarks.rig import Rig, ratios
from benchmarks.shop import people, plan_of
from deliveries.services.advance import advance_due

#: Looks per measurement: one takes less than a millisecond.
LOOKS = 500


def run(rig: Rig) -> dict[str, Any]:
    """Looks per second with a full and an empty table, in turn: the table is put aside and back by its name."""
    waiting = rig.count(1_000_000)
    people(waiting)
    _fill(plan_of())
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE deliveries_delivery")
        cursor.execute("ALTER TABLE deliveries_delivery RENAME TO bench_full")
        cursor.execute("CREATE TABLE bench_empty (LIKE bench_full INCLUDING ALL)")
    rounds = rig.rounds({"ours": _with("bench_full"), "limit": _with("bench_empty")})
    return {**ratios(rounds), "waiting": waiting, "looks": LOOKS}


def _fill(plan_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO deliveries_delivery (plan_id, contact_id, variables, state, step, trail, priority, due_at,"
            " fence, wait_reason, stop_reason, outcome, outcome_milestone, outcome_reason, has_unknown, is_double)"
            " SELECT %s, id, '{}', 'waiting', 0, '', 10, now() + interval '1 day' + id * interval '1 ms', 0, '', '',"
            " '', '', '', false, false FROM contacts_contact",
            [plan_id],
        )


def _with(table: str) -> Callable[[], float]:
    def looks() -> float:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO deliveries_delivery")
        try:
            advance_due()
            start = time.perf_counter()
            for _ in range(LOOKS):
                asked, _ready = advance_due()
                assert asked == 0
            return LOOKS / (time.perf_counter() - start)
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE deliveries_delivery RENAME TO {table}")

    return looks
