"""Wiring: the processes of an installation, its reconcilers, and the commands that start them."""
