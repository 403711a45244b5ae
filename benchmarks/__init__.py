"""`make bench`: how fast the engine is, as ratios that mean the same on every machine.

Each benchmark measures ours against a *limit* (the shortest honest program with the same durable work) and, where
there is one, a *peer* (what people do instead). The three take turns in one run (A B C, A B C ...), because absolute
figures of a shared machine wander by a factor of two and only neighbours in time can be compared. Larger is better.

To add one: write `benchmarks/<something>.py` with

    def run(rig: Rig) -> dict[str, Any]:
        def ours() -> float: ...   # does the work once, returns how many per second
        def limit() -> float: ...
        rounds = rig.rounds({"ours": ours, "limit": limit})
        return {**ratios(rounds), "rows": ...}

and name it in registry.BENCHES. `rig.fresh_database()` has been called: Django's default connection and
`rig.environment` point at a new, migrated, empty database on embedded servers (fsync on, so that commits are honest),
`rig.count(1_000_000)` is the size to use (smaller under --size), `rig.processes` starts the real processes, and
`rig.say()` is for people: standard output belongs to the JSON lines.
"""
