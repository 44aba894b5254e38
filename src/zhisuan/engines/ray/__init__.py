"""Drives a Ray cluster through its job submission API. Inside this package ``import ray`` still means Ray itself."""
