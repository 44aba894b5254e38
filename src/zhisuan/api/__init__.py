"""The HTTP interface: ``/api/v1`` for people and programs, ``/wire/v1`` for agents and gateways. Thin over the services."""
