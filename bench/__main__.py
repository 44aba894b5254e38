"""Runs every measurement, one after the other, and writes build/bench.json.

Usage: python -m bench [NAME …]   NAME of: launch rating overview gateway idle slurm ray many scale data
"""

from pathlib import Path

from bench.running import run

NAMES = ("launch", "rating", "overview", "gateway", "idle", "slurm", "ray", "many", "scale", "data")

if __name__ == "__main__":
    raise SystemExit(run("bench", NAMES, Path("build/bench.json")))
