"""A separate process that plays every provider on its real wire format, by script, and keeps a journal.

Demo, tests, benchmarks and fault runs all use this one. It imports nothing of the product and the product nothing
of it: what they share is HTTP, SMTP and IMAP. The journal is the only judge of a run; tables are compared with it.

    python -m emulator --host 127.0.0.1 --port 8025 --journal /tmp/journal.jsonl --smtp-port 8026

server.py    bytes in, bytes out; resets, hangs and drips where a behaviour asks for them
behaviours.py  the table of behaviours 00-25 and their names
world.py     accounts, rules, messages, money, receipts: everything that is remembered
control.py   /_emulator/...: how a test tells people and providers what to do
journal.py   the writer, and a pure reader with the questions an oracle asks
mail.py, letters.py, imap.py  the mail relay, the letters it sends back, and the mailboxes they lie in
providers/   one file per wire format
"""
