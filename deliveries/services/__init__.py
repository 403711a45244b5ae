"""What moves deliveries. Each module is one box of the flow in docs/message-flow.md:

launch -> advance -> send -> (polling | receipts) -> advance ... -> recover closes the books.
"""
