"""``python -m zhisuan.app.run_site``: the site agent's process; its configuration comes as JSON on standard input."""

import logging
import sys

from zhisuan.site.config import AgentConfig
from zhisuan.site.errors import AgentStop
from zhisuan.site.main import run_agent

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run_agent(AgentConfig.model_validate_json(sys.stdin.buffer.read()))
    except AgentStop as stop:
        logging.error("%s", stop)
        raise SystemExit(stop.exit_status) from stop
