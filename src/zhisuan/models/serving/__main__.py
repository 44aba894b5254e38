"""``python -m zhisuan.models.serving``: serve one model directory over the OpenAI interface."""

import argparse
import os
import socket
import sys
import time
import uuid
from pathlib import Path

import uvicorn

from zhisuan.base.clock import SystemClock
from zhisuan.models.serving.app import Served, create_app
from zhisuan.models.serving.language_model import LanguageModel
from zhisuan.models.serving.model_directory import CannotServe, find_model_directory, require_training_extra
from zhisuan.models.serving.worker import Worker

SHUTDOWN_SECONDS = 5
USAGE_ERROR = 2


def cpu_threads() -> int:
    """Threads for PyTorch: $ZHISUAN_CPUS where the engine granted so many cores, else those this process may use."""
    granted = os.environ.get("ZHISUAN_CPUS")
    try:
        usable = int(float(granted)) if granted else len(os.sched_getaffinity(0))
    except ValueError:
        raise CannotServe(
            f"ZHISUAN_CPUS is {granted!r}, which is no number of cores; unset it or give a number"
        ) from None
    return max(1, usable)


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zhisuan.models.serving", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="directory with config.json and *.safetensors")
    parser.add_argument("--name", help="the model's name in requests (default: the directory's name)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on; 0 takes a free one")
    parser.add_argument("--queue", type=int, default=16, help="requests that may wait while one is answered")
    return parser.parse_args(arguments)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises CannotServe where the address cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise CannotServe(
            f"cannot listen on {host} port {port}: {error}; choose another with --host or --port"
        ) from None


def serve(args: argparse.Namespace) -> int:
    """Serve until stopped; the exit status. Raises CannotServe for what can be seen before anything is loaded."""
    require_training_extra()
    directory = find_model_directory(args.model)
    name = args.name or directory.path.resolve().name
    threads = cpu_threads()

    def load() -> LanguageModel:
        # PyTorch takes seconds to import; the server answers /health with "loading" meanwhile.
        from zhisuan.models.serving.huggingface import HuggingFaceModel

        start = time.monotonic()
        model = HuggingFaceModel.load(directory, threads)
        seconds = time.monotonic() - start
        print(
            f"{name}: loaded from {directory.path} in {seconds:.1f} s, context {model.context_tokens} tokens",
            flush=True,
        )
        return model

    def give_up() -> None:
        server.should_exit = True

    worker = Worker(load, args.queue, time.monotonic, give_up)
    served = Served(name, directory.created_seconds, worker, SystemClock(), lambda: uuid.uuid4().hex)
    listener = listen(args.host, args.port)
    config = uvicorn.Config(
        create_app(served), log_level="warning", access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS
    )
    server = uvicorn.Server(config)
    host, port = listener.getsockname()[:2]
    print(f"{name}: listening on http://{host}:{port}/v1, loading the model", flush=True)
    server.run(sockets=[listener])
    if worker.failure is not None:
        print(f"zhisuan model server: {worker.failure}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    # Nothing may be fetched; and threads that wait by spinning stall each token when another process wants a core.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return serve(parse_args())
    except CannotServe as error:
        print(f"zhisuan model server: {error}", file=sys.stderr)
        return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
