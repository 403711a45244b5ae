"""Shared fixtures. Servers and processes come from tests/plugins, loaded before this file."""
