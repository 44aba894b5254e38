"""Placement inside a site: which node and which cards a task takes, whole cards and shares of a card."""
