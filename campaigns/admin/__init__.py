"""Campaigns and the standing rules for all sendings, as an owner handles them."""

from campaigns.admin import campaign, rules

__all__ = ["campaign", "rules"]
