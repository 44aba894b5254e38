"""One node's part of a gang, started by the gang's actor there: ``python -I -S -c '…' PART_FOLDER ADDRESS…``."""

import sys

from zhisuan.engines.ray.node.part import carry_out


def main() -> None:
    carry_out(sys.argv[1], sys.argv[2:])
