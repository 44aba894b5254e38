"""``simulate carbon``: work that can wait, over regions and hours."""
