"""SEND: claim -> calling -> HTTP -> result. Flow boxes 7-9; the protocol is reliability.md section 2.1.

claim.py    TX-claim    take ready rows of one channel under a lease, with turns on the channel's pace
calling.py  TX-calling  every gate once more, render, write the attempts: from its commit the outcome may be unknown
pump.py     no transaction: the calls, many in flight, through channels.transport
results.py  TX-result   what the answers mean, guarded by attempt state and fence
"""
