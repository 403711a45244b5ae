"""The pure heart of Cascade: vocabulary, plan, facts and the one decision.

Standard library only. No Django, no I/O, no clock and no randomness of its own: time and jitter are
arguments, so every decision can be replayed, simulated and explained with the very code that made it.
"""
