"""One module of routes for each kind of record."""
