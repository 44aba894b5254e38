"""Runs a gateway as a process of its own: ``python run_gateway.py PORT CONFIG_JSON``."""

import asyncio
import json
import sys

from zhisuan.gateway.app import serve
from zhisuan.gateway.config import GatewayConfig

asyncio.run(serve(GatewayConfig(**json.loads(sys.argv[2])), "127.0.0.1", int(sys.argv[1])))
