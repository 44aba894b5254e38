"""Stands between the engine and Ray's dashboard and fails as networks and dashboards do."""

import socket
import threading
from contextlib import suppress
from typing import Literal

Mode = Literal["pass", "refuse", "hang", "nonsense", "swallow"]
_NONSENSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 21\r\nConnection: close\r\n\r\n<html>Sign in!</html>"


class Proxy:
    """``refuse``: closes at once. ``hang``: takes the connection and says nothing. ``nonsense``: a page of something
    else. ``swallow``: hands the request on and loses the answer."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("http://").rpartition(":")
        self._target = (host, int(port))
        self.mode: Mode = "pass"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for one in (self._listener, *self._open):
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client, self.mode), daemon=True).start()

    def _serve(self, client: socket.socket, mode: Mode) -> None:
        with suppress(OSError):
            if mode == "hang":
                return
            if mode == "nonsense":
                client.recv(1 << 16)
                client.sendall(_NONSENSE)
            elif mode in ("pass", "swallow"):
                self._carry(client, swallow=mode == "swallow")
        if mode != "hang":
            client.close()

    def _carry(self, client: socket.socket, *, swallow: bool) -> None:
        with socket.create_connection(self._target) as server:
            back = threading.Thread(target=_copy, args=(client, server))
            back.start()
            if swallow:
                server.recv(1 << 16)
            else:
                _copy(server, client)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
