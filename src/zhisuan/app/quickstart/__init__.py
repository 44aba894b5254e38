"""``zhisuan quickstart``: one real order through every station of the chain, on this machine."""
