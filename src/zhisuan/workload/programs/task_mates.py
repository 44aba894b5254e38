"""How the nodes of one order of tasks work together: the other ranks tell rank 0 what has finished with them.

Sent to the site behind ``task_runner``, where an order has several nodes. They connect to the first node's address over TCP; each
proves that it knows the token of the lease, which is never sent itself.
"""

from __future__ import annotations

import collections
import hashlib
import hmac
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from io import BufferedRWPair

from zhisuan.workload.programs.task_book import Book, Order
from zhisuan.workload.programs.task_runner import Alone

WAY_OUT = "Ask for one node, or let the site's operator give its nodes a network (gang_network: host)."


class Head(Alone):
    """Rank 0's side: hears from every other rank what has finished there, until each has said that it is done."""

    def __init__(self, order: Order, wake: int) -> None:
        self._order = order
        self._wake = wake
        self._heard: collections.deque[bytes] = collections.deque()
        self._done: set[int] = set()
        self._here: set[int] = set()
        family = socket.AF_INET6 if ":" in order.addresses[0] else socket.AF_INET
        for port in order.ports:
            try:
                self._listener = socket.create_server(("", port), family=family)
                break
            except OSError as error:
                refusal = error
        else:
            sys.exit(f"[zhisuan] No port is free for the other nodes of this order: {refusal.strerror}.")
        _thread(self._accept)

    def over(self, *, stopping: bool) -> bool:
        return len(self._done) == self._order.nodes - 1 or (stopping and not self._here - self._done)

    def hand_over(self, book: Book) -> None:
        while self._heard:
            book.take(self._heard.popleft())

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            _thread(self._hear, connection)

    def _hear(self, connection: socket.socket) -> None:
        nonce = os.urandom(16).hex()
        rank = -1
        try:
            with connection, connection.makefile("rwb") as talk:
                _send(talk, nonce)
                name, _, proof = talk.readline(200).decode("ascii", "replace").strip().partition(" ")
                if not hmac.compare_digest(proof, _proof(self._order.token, nonce + name)):
                    return
                rank = int(name)
                self._here.add(rank)
                _send(talk, "welcome")
                for line in talk:
                    if line == b"done\n":
                        self._done.add(rank)
                        _send(talk, "thanks")
                    else:
                        self._heard.append(line)
                    _poke(self._wake)
        except (OSError, ValueError):
            return  # it comes back, with all that it has
        finally:
            self._here.discard(rank)
            _poke(self._wake)


class Mate(Alone):
    """Another rank's side: tells rank 0 what has finished here, all of it anew over each new connection."""

    def __init__(self, order: Order, wake: int) -> None:
        self._order = order
        self._wake = wake
        self._rows: list[bytes] = []
        self._closing = False
        self._delivered = False
        self._news = threading.Event()
        self.lost = True
        _thread(self._deliver)

    def tell(self, row: bytes) -> None:
        self._rows.append(row)
        self._news.set()

    def own_are_done(self) -> None:
        self._closing = True
        self._news.set()

    def over(self, *, stopping: bool) -> bool:
        return self._delivered or (stopping and self.lost)

    def _deliver(self) -> None:
        turn = 0
        while not self._delivered:
            try:
                self._talk(self._order.ports[turn % len(self._order.ports)])
            except (OSError, ValueError):
                self.lost = True
                turn += 1
                time.sleep(0.2 if turn % len(self._order.ports) else 1.0)
        _poke(self._wake)

    def _talk(self, port: int) -> None:
        with socket.create_connection((self._order.addresses[0], port), 10) as connection, connection.makefile("rwb") as talk:
            rank, nonce = str(self._order.rank), talk.readline(200).decode("ascii", "replace").strip()
            _send(talk, rank + " " + _proof(self._order.token, nonce + rank))
            if talk.readline(200) != b"welcome\n":
                raise ValueError("somebody else listens there")
            self.lost = False
            sent = 0
            while not self._delivered:
                self._news.wait()
                self._news.clear()
                closing, ready = self._closing, len(self._rows)
                talk.write(b"".join(self._rows[sent:ready]))
                sent = ready
                if closing:
                    talk.write(b"done\n")
                talk.flush()
                self._delivered = closing and talk.readline(200) == b"thanks\n"
                if closing and not self._delivered:
                    raise ValueError("it ended before it had taken all")


def meet(order: Order, wake: int) -> Alone:
    """This node's side. ``wake`` is a descriptor to write to when there is something to be taken."""
    if not order.addresses[0].startswith("127.") and _interfaces() <= {"lo"}:
        sys.exit(f"[zhisuan] The nodes of this site cannot reach each other, which tasks on several nodes need. {WAY_OUT}")
    return Mate(order, wake) if order.rank else Head(order, wake)


def _interfaces() -> set[str]:
    with open("/proc/net/dev", encoding="ascii") as file:
        return {line.partition(":")[0].strip() for line in file if ":" in line}


def _thread(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _send(talk: BufferedRWPair, text: str) -> None:
    talk.write(text.encode() + b"\n")
    talk.flush()


def _proof(token: str, said: str) -> str:
    return hmac.new(token.encode(), said.encode(), hashlib.sha256).hexdigest()


def _poke(wake: int) -> None:
    try:
        os.write(wake, b"\0")
    except BlockingIOError:
        return  # it is awake already
