"""Thin: read the request, ask a service, word the answer."""
