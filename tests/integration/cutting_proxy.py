"""A TCP proxy that cuts a connection after some bytes, as a bad link does."""

import contextlib
import socket
import threading
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """``every_bytes`` of either direction through one connection, it is cut in both. ``moved`` counts all of them."""

    def __init__(self, target: str, every_bytes: int) -> None:
        self.target = target
        self.every_bytes = every_bytes
        self.moved = self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        parts = urlsplit(self.target)
        with one:
            try:
                other = socket.create_connection((parts.hostname or "", parts.port or 80))
            except OSError:
                return
            with other:
                left = [self.every_bytes]
                pumps = [threading.Thread(target=self._pump, args=(a, b, left), daemon=True) for a, b in ((one, other), (other, one))]
                for pump in pumps:
                    pump.start()
                for pump in pumps:
                    pump.join()

    def _pump(self, source: socket.socket, sink: socket.socket, left: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.moved += len(data)
                left[0] -= len(data)
                if left[0] < 0:
                    self.cuts += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
