"""Faults on purpose: processes killed, connections cut, servers restarted. See docs/faults.md.

soak.py     many faults at random, judged at the end (`make faults`)
verdict.py  the judge: the emulator's journal against the rows
chaos.py    who is killed, when and how
wires.py    connections that break at a chosen byte
"""
