"""``zhisuan site join``: a machine becomes a provider's site in one command."""
