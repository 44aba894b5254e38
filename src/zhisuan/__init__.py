"""zhisuan: the open platform for a city's AI compute."""

__version__ = "0.1.0"
