"""The command line: a face over the HTTP API."""
