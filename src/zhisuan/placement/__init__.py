"""Where work runs, and why. Pure: an immutable snapshot in, a plan with reasons out; no clock, database or network."""
