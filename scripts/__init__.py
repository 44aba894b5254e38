"""What `make` uses."""
