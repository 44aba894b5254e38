"""Versioned messages between server, site agents and gateways. Every call is made outbound by agent or gateway.

Paths are under ``/wire/v1``. A field is only ever added; a receiver ignores fields it does not know.
"""

WIRE_VERSION = 1
PREFIX = "/wire/v1"
