"""Requests to models, replayed over modelled replicas through the gateway's routing and the platform's scaling."""
