"""The host's way to the head: it joins once, then stays connected, and comes back whenever the connection breaks."""

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp

from zhisuan.base.secrets import digest
from zhisuan.engines.errors import EngineUnavailable, StartRefused
from zhisuan.engines.hosts.link import HEARTBEAT_SECONDS, MESSAGE_BYTES_MAX, Handle, Link, LinkBroken, Said
from zhisuan.engines.hosts.messages import INTRODUCTION, PATH, Archive, Introduction, plain
from zhisuan.engines.hosts.posts import ANSWER_SECONDS
from zhisuan.engines.hosts.streams import carry

log = logging.getLogger("zhisuan.hosts")

BEAT_SECONDS = 2.0
_CONNECT_SECONDS = 10.0
_PIECE_BYTES = 1 << 20


class Denied(Exception):
    """The head does not take this host; trying again changes nothing. ``code`` as the head said it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Away(Exception):
    """The head does not answer now."""


class Visit:
    """``head`` is ``host:port``, ``fingerprint`` the SHA-256 of its certificate: whoever shows another is not spoken to.
    ``keepalive`` is called when the head has shown that it lives."""

    def __init__(self, head: str, fingerprint: str, credential: str, keepalive: Callable[[], None]) -> None:
        self._url = f"https://{head}{PATH}"
        self._pin = aiohttp.Fingerprint(bytes.fromhex(fingerprint))
        self._headers = {"Authorization": f"Bearer {credential}"}
        self._credential = credential
        self._keepalive = keepalive
        self._beat = ""
        self._session: aiohttp.ClientSession | None = None
        self.link: Link | None = None

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=60)
            self._session = aiohttp.ClientSession(timeout=timeout)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def join(self, token: str, hostname: str) -> None:
        """Raises Denied, Away."""
        body = {"token": token, "hostname": hostname, "credential_digest": digest(self._credential)}
        with _told():
            async with self._http().post(f"{self._url}/join", json=body, ssl=self._pin) as answer:
                if answer.status == 200:
                    return
                said = await answer.json() if answer.content_type == "application/json" else {}
        if answer.status in (400, 403):
            raise Denied(str(said.get("code", "refused")), str(said.get("message", "the head refuses")))
        raise Away(f"it answers with {answer.status}")

    async def stay(self, handle: Handle, introduce: Callable[[str], Introduction], changed: asyncio.Event) -> None:
        """One connection, until it ends. ``introduce`` makes the introduction, given our address on it; ``changed`` asks
        for another. Raises Denied, Away."""
        with _told():
            socket = await self._http().ws_connect(
                f"{self._url}/link",
                headers=self._headers,
                ssl=self._pin,
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=MESSAGE_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        ours = socket.get_extra_info("sockname")
        link = Link(socket, handle)
        listening = asyncio.create_task(link.run())
        talking = asyncio.create_task(self._talk(link, lambda: introduce(str(ours[0])), changed))
        try:
            await asyncio.wait((listening, talking), return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                talking.result()
        except LinkBroken as error:
            raise Away(str(error)) from error
        except Said as error:
            raise Away(f"it says: {error}") from error
        finally:
            self.link = None
            for task in (listening, talking):
                task.cancel()
            await asyncio.gather(listening, talking, return_exceptions=True)
            await socket.close()

    async def _talk(self, link: Link, introduce: Callable[[], Introduction], changed: asyncio.Event) -> None:
        changed.set()
        while True:
            if changed.is_set():
                changed.clear()
                await link.call("introduce", plain(INTRODUCTION, introduce()))
                if self.link is None:
                    log.info("Connected to the head at %s.", self._url)
                self.link = link
            await self._say_beat(link)
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await changed.wait()
            except TimeoutError:
                continue

    async def _say_beat(self, link: Link) -> None:
        """An answer that comes late proves nothing of now: it may have lain in a broken connection."""
        asked = time.monotonic()
        beat = await link.call("beat", seconds=ANSWER_SECONDS * 4)
        if time.monotonic() - asked <= ANSWER_SECONDS and beat != self._beat:
            await asyncio.to_thread(self._keepalive)
            self._beat = str(beat)

    async def fetch(self, key: tuple[str, int], archive: Archive, target: Path) -> None:
        """Bring an archive of the head to ``target``, from where an earlier try was broken off. Raises StartRefused,
        EngineUnavailable, OSError."""
        making = target.with_suffix(".part")
        have = making.stat().st_size if making.exists() else 0
        url = f"{self._url}/archives/{quote(key[0])}/{key[1]}/{archive.number}"
        headers = {**self._headers, **({"Range": f"bytes={have}-"} if 0 < have < archive.size_bytes else {})}
        try:
            async with self._http().get(url, headers=headers, ssl=self._pin) as answer:
                if answer.status not in (200, 206):
                    raise StartRefused(f"the head does not hand out archive {archive.number}: {answer.status}")
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if answer.status == 206 else os.O_TRUNC)
                with open(os.open(making, flags, 0o600), "wb") as file:
                    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                        await asyncio.to_thread(file.write, piece)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EngineUnavailable(f"archive {archive.number} could not be fetched from the head: {error}") from error
        if await asyncio.to_thread(_sha256, making) != archive.sha256:
            making.unlink()
            raise StartRefused(
                f"archive {archive.number} came with other bytes than the head has; it may have changed there"
            )
        making.rename(target)

    async def dial(self, stream: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a connection to a service here to one that the head awaits."""
        try:
            ours = await self._http().ws_connect(
                f"{self._url}/streams/{quote(stream)}",
                headers=self._headers,
                ssl=self._pin,
                max_msg_size=MESSAGE_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        except (aiohttp.ClientError, TimeoutError, OSError):
            writer.close()
            return
        try:
            await carry(ours, reader, writer)
        finally:
            await ours.close()


@contextmanager
def _told() -> Iterator[None]:
    """What a failed call means. A head with another certificate is not spoken to, but may be the wrong machine at this
    address only now, so that is said and tried again."""
    try:
        yield
    except aiohttp.ServerFingerprintMismatch as error:
        raise Denied(
            "wrong_certificate",
            f"whoever answers at {error.host}:{error.port} has another certificate than the head the token was made for; "
            "nothing was said to it",
        ) from error
    except aiohttp.WSServerHandshakeError as error:
        if error.status == 401:
            raise Denied("removed", "the head knows no such host (any more); join again with a new token") from error
        raise Away(f"it answers with {error.status}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Away(str(error) or type(error).__name__) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
