"""The client of one command."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

from zhisuan.cli.credentials import Access, resolve_access
from zhisuan.cli.text import language

if TYPE_CHECKING:
    from zhisuan.sdk import Client

RETRIES = 2
_profile: ContextVar[str | None] = ContextVar("zhisuan_cli_profile", default=None)


def use_profile(name: str | None) -> None:
    _profile.set(name)


def profile_asked_for() -> str | None:
    return _profile.get()


def connect() -> "Client":
    """A client for whoever is signed in. Raises ``NotAuthenticated`` when nobody is."""
    access = resolve_access(_profile.get())
    return open_client(access.url, access.require_key())


def connect_public() -> "Client":
    """A client that may go without a key, for what everyone can see."""
    access = access_now()
    return open_client(access.url, access.key)


def access_now() -> Access:
    return resolve_access(_profile.get())


def open_client(url: str, key: str | None) -> "Client":
    # The SDK and its HTTP library take most of a command's start; help and mistakes in typing do without.
    from zhisuan.sdk import Client

    return Client(url, key, language=language(), retries=RETRIES)
