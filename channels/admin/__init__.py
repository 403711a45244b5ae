"""The owner's pages for texts, accounts and chains.

MessageTemplate's page lives here and not in templates_app, because it validates against the contacts' variables and
previews on real contacts, and templates_app may know neither contacts nor channels.
"""

from channels.admin.approved import ApprovedTextAdmin
from channels.admin.chain import ChainAdmin
from channels.admin.channel import ChannelAdmin
from channels.admin.template import MessageTemplateAdmin

__all__ = ["ApprovedTextAdmin", "ChainAdmin", "ChannelAdmin", "MessageTemplateAdmin"]
