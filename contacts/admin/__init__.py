"""Pages about people: cards, lists, stop-list, imports. Thin: what they do is in contacts.services."""

from contacts.admin import imports, lists, people, stop_list

__all__ = ["imports", "lists", "people", "stop_list"]
