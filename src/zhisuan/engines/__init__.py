"""Drivers that run work on a site's machines, behind one contract (``contract.py``)."""
