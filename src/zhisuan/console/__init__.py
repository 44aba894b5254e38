"""The web console: pages over the public REST interface."""
