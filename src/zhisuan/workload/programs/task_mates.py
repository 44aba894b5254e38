"""How the nodes of one order of tasks work together: the other ranks tell rank 0 what has finished with them.

Sent to the site behind ``task_runner``, where an order has several nodes. They connect to the first node's address over TCP. Both ends
prove that they know the token of the lease, which is never sent itself, and for which port they do: whoever took another of the ports
can pass nothing on.

    head → mate  nonce
    mate → head  rank, nonce of its own, proof
    head → mate  proof; then rows of the table come, and at the end "done", which is answered by "thanks"
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

PAUSE_SECONDS = 0.25
PROOF_SECONDS = 10.0
"""How long somebody who connects may take to show that it is of this order, and a node to hear from the first."""
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
        for self._port in order.ports:
            try:
                self._listener = socket.create_server(("", self._port), family=family)
                break
            except OSError as error:
                refusal = error
        else:
            sys.exit(f"[zhisuan] No port is free for the other nodes of this order: {refusal.strerror}.")
        _thread(self._accept)

    def over(self, *, given_up: bool) -> bool:
        return len(self._done) == self._order.nodes - 1 or (given_up and not self._here - self._done)

    def hand_over(self, book: Book) -> None:
        while self._heard:
            book.take(self._heard.popleft())

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # no descriptor is free just now
                time.sleep(PAUSE_SECONDS)
                continue
            _thread(self._hear, connection)

    def _hear(self, connection: socket.socket) -> None:
        nonce = os.urandom(16).hex()
        rank = -1
        try:
            connection.settimeout(PROOF_SECONDS)
            with connection, connection.makefile("rwb") as talk:
                _send(talk, nonce)
                name, theirs, proof = _words(talk, 3)
                if not hmac.compare_digest(proof, _proof(self._order.token, "mate", name, nonce, self._port)):
                    return
                connection.settimeout(None)
                rank = int(name)
                self._here.add(rank)
                _send(talk, _proof(self._order.token, "head", name, theirs, self._port))
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

    def over(self, *, given_up: bool) -> bool:
        return self._delivered or (given_up and self.lost)

    def _deliver(self) -> None:
        turn = 0
        while not self._delivered:
            try:
                self._talk(self._order.ports[turn % len(self._order.ports)])
            except (OSError, ValueError):
                self.lost = True
                turn += 1
                time.sleep(PAUSE_SECONDS)
        _poke(self._wake)

    def _talk(self, port: int) -> None:
        with socket.create_connection((self._order.addresses[0], port), PROOF_SECONDS) as connection, connection.makefile("rwb") as talk:
            (theirs,) = _words(talk, 1)
            rank, nonce = str(self._order.rank), os.urandom(16).hex()
            _send(talk, f"{rank} {nonce} {_proof(self._order.token, 'mate', rank, theirs, port)}")
            if not hmac.compare_digest(_words(talk, 1)[0], _proof(self._order.token, "head", rank, nonce, port)):
                raise ValueError("somebody else listens there")
            self.lost = False
            self._news.set()
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


def _words(talk: BufferedRWPair, count: int) -> list[str]:
    """A line of so many words of ASCII. Raises ValueError."""
    words = talk.readline(300).decode("ascii").split()
    if len(words) != count:
        raise ValueError("not what was expected")
    return words


def _proof(token: str, side: str, rank: str, nonce: str, port: int) -> str:
    return hmac.new(token.encode(), f"{side} {rank} {nonce} {port}".encode(), hashlib.sha256).hexdigest()


def _poke(wake: int) -> None:
    try:
        os.write(wake, b"\0")
    except BlockingIOError:
        return  # it is awake already
