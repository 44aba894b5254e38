"""What the server keeps for one browser: its language, who is signed in, and words to show once.

All of it lives in NiceGUI's storage on the server; the browser holds a signed cookie with an id and nothing else.
"""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from nicegui import app
from starlette.requests import Request

from zhisuan.console.speech import Language, Speech, known

RETURN_MAX = 500
HOME = "/"


class Session:
    """The storage of the browser that the present request or event comes from."""

    def __init__(self) -> None:
        self._kept = app.storage.user

    @property
    def language(self) -> Language:
        return known(self._kept.get("language"))

    @language.setter
    def language(self, language: Language) -> None:
        self._kept["language"] = language

    @property
    def say(self) -> Speech:
        return Speech(self.language)

    @property
    def secret(self) -> str | None:
        """The bearer of the signed-in person's session with the platform."""
        found = self._kept.get("secret")
        return str(found) if found else None

    @property
    def model_key(self) -> str | None:
        """The API key that the chat box uses."""
        found = self._kept.get("model_key")
        return str(found) if found else None

    @model_key.setter
    def model_key(self, key: str | None) -> None:
        if key:
            self._kept["model_key"] = key
        else:
            self._kept.pop("model_key", None)

    def begin(self, secret: str) -> None:
        self._kept["secret"] = secret

    def end(self) -> None:
        """Forget everything but the language."""
        language = self.language
        self._kept.clear()
        self._kept["language"] = language

    def remember(self, name: str, words: Mapping[str, Any]) -> None:
        """Keep ``words`` for the next page that asks for ``name``."""
        self._kept[f"once_{name}"] = dict(words)

    def once(self, name: str) -> dict[str, Any]:
        """What was remembered under ``name``; a second look finds nothing."""
        found = self._kept.pop(f"once_{name}", None)
        return dict(found) if found else {}


async def renewed(request: Request) -> Session:
    """A session under a new id, with the language of the one before.

    Called when somebody signs in or out, so that an id that another person knew, or planted, is worth nothing.
    """
    before = Session()
    language = before.language
    before.end()
    fresh = str(uuid.uuid4())
    request.session["id"] = fresh
    await app.storage._create_user_storage(fresh)  # the framework makes a storage only when a request begins
    session = Session()
    session.language = language
    return session


def safe_return(path: str | None) -> str:
    """``path`` if it leads to a page of this console, else the first page.

    Browsers read ``\\`` as ``/`` and drop control characters, so ``/\\evil`` and ``/<tab>/evil`` lead away like ``//evil``.
    """
    if not path or len(path) > RETURN_MAX or not path.startswith("/") or path.startswith("//"):
        return HOME
    if "\\" in path or any(ord(c) <= 0x20 or ord(c) == 0x7F for c in path):
        return HOME
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or parts.path in ("/sign-in", "/sign-up"):
        return HOME
    return path


def same_site(request: Request) -> bool:
    """Whether a form was sent by a page of this console: browsers name the origin of every cross-site post."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return urlsplit(origin).netloc == request.headers.get("host")
