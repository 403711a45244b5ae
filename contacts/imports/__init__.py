"""Reading owners' files: what is it, which column is what, what does each row say. Pure where it can be; the tables
are touched by `staging` and `merging` only, and the order of steps is decided in contacts.services.imports."""
