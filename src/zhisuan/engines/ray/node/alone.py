"""The entrypoint of a run on one node: claims it and becomes its supervisor. Needs nothing but Python itself.

Called as ``python -I -S -c '…' RUN_FOLDER SUBMISSION_ID ADDRESS``, where ``ADDRESS`` is the node's in Ray, or ``-``.
"""

import os
import sys

from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.ray.node.claim import claim_for_node
from zhisuan.engines.ray.node.part import carry_out


def main() -> None:
    folder, submission_id, address = sys.argv[1:4]
    if address != "-":
        os.environ["ZHISUAN_RAY_NODE_IP"] = address
    if claim_for_node(RunPaths(folder), submission_id):
        carry_out(folder, [])
