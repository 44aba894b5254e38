"""Volumes at a site: fetched once, shown to runs, and what runs wrote brought back."""
