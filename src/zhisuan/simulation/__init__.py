"""Replays of traces and of made cities through the platform's own decisions, with a virtual clock."""
