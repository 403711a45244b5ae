"""Adapters: one file per provider. Pure (sans-I/O): they build requests and read answers, they never send."""
