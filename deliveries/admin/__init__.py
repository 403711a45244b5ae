"""Deliveries as an owner reads them: the story of each, the calls behind it, and what came in. Nothing is edited."""

from deliveries.admin import codes, delivery, desk, dialogues, hooks, inbox

__all__ = ["codes", "delivery", "desk", "dialogues", "hooks", "inbox"]
