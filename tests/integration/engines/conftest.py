"""Puts this folder on the path, so that drivers' test modules find ``engine_conformance`` in any import mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
