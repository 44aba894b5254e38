"""A city and its work, replayed through the placement code of the server."""
