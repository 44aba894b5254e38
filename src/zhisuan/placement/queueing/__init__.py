"""Who of the waiting orders starts next."""
