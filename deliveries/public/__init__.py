"""Doors that are open to the world: provider callbacks, tracked links, unsubscribe. Nothing here needs a login, and
nothing here changes anything by GET."""
