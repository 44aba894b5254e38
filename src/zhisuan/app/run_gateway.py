"""``python -m zhisuan.app.run_gateway``: the gateway process; its configuration comes as JSON on standard input."""

import asyncio
import logging
import sys

import orjson

from zhisuan.gateway.app import serve
from zhisuan.gateway.config import GatewayConfig

if __name__ == "__main__":
    told = orjson.loads(sys.stdin.buffer.read())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(GatewayConfig(**told["config"]), told["host"], told["port"]))
