"""Which benchmarks there are."""

#: Name on the command line -> module with `run(rig)`. Names and not functions: a module may import models, and Django
#: is set up only when the servers' addresses are known.
BENCHES: dict[str, str] = {
    "import": "benchmarks.import_contacts",
    "send": "benchmarks.send",
    "launch": "benchmarks.launch",
    "tick": "benchmarks.tick",
    "callbacks": "benchmarks.callbacks",
}
