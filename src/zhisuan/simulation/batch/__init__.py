"""``simulate batch``: one pass over backlog, deferrable and spot work."""
