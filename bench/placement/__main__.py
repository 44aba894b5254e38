"""Runs the comparisons of placement, one after the other, and writes build/bench-placement.json.

Usage: python -m bench.placement [NAME …]   NAME of: openb jobs carbon batch serve city durable
"""

from pathlib import Path

from bench.running import run

NAMES = ("openb", "jobs", "carbon", "batch", "serve", "city", "durable")

if __name__ == "__main__":
    raise SystemExit(run("bench.placement", NAMES, Path("build/bench-placement.json")))
