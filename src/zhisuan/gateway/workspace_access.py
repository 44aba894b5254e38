"""Who may reach a workspace, from the headers of one request: the credential, the host name, the page it comes from."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from zhisuan.gateway.hub import bearer

COOKIE = "zhisuan_workspace"
PLAIN_METHODS = ("GET", "HEAD", "OPTIONS")
RawHeaders = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Home:
    """The origin of one workspace in browsers, such as ``https://wsp-….example.com``."""

    origin: str

    @property
    def secure(self) -> bool:
        return self.origin.startswith("https:")

    @property
    def host(self) -> str:
        return urlsplit(self.origin).netloc

    @property
    def cookie(self) -> str:
        """With the prefix, browsers take the cookie from this very host only, and no neighbour below the same domain can plant
        one; it needs https."""
        return f"__Host-{COOKIE}" if self.secure else COOKIE

    def set_cookie(self, secret: str, seconds: int, base: str) -> str:
        where = "Path=/; Secure" if self.secure else f"Path={base}"
        return f"{self.cookie}={secret}; {where}; HttpOnly; SameSite=Lax; Max-Age={seconds}"


class Headers:
    """The headers of a request, names in lower case."""

    def __init__(self, raw: RawHeaders) -> None:
        self.pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.pairs if key == name), None)

    @property
    def key(self) -> str | None:
        """What came as ``Authorization: Bearer``."""
        return bearer(self.get("authorization"))

    def cookies(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in self.pairs:
            if name == "cookie":
                for part in value.split(";"):
                    key, _, content = part.strip().partition("=")
                    found.setdefault(key, content)
        return found

    def session(self, home: Home) -> str | None:
        """The secret of the browser's session; a cookie that came to another host name is nobody's."""
        return self.cookies().get(home.cookie) if self.get("host") == home.host else None


def from_elsewhere(method: str, headers: Headers, home: Home, *, socket: bool) -> bool:
    """Whether a request with a cookie was made by a page of another origin. Browsers say so: ``Origin`` on what changes
    something and on WebSockets, ``Sec-Fetch-Site`` on all. Following a link to the workspace is allowed."""
    origin = headers.get("origin")
    if origin is not None:
        return origin != home.origin
    site = headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return socket
    if site is None:
        return socket or method not in PLAIN_METHODS
    following = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return socket or method != "GET" or not following


def for_workspace(headers: Headers, token: str, dropped: frozenset[str]) -> list[tuple[str, str]]:
    """The headers that the session in the sandbox gets: without the caller's credential, with the session's own token."""
    kept = [(name, value) for name, value in headers.pairs if name not in dropped and name not in ("authorization", "cookie")]
    cookies = "; ".join(
        f"{name}={value}" for name, value in headers.cookies().items() if name.removeprefix("__Host-") != COOKIE
    )
    if cookies:
        kept.append(("cookie", cookies))
    return [*kept, ("authorization", f"token {token}")]


def for_browser(pairs: Iterable[tuple[bytes, bytes]], dropped: frozenset[str]) -> list[tuple[bytes, bytes]]:
    """The headers that the browser gets: cookies stay on the host name they came from, and nobody else frames the page."""
    kept = []
    for name, value in pairs:
        lower = name.decode("latin-1").lower()
        if lower in dropped or lower in ("alt-svc", "cross-origin-resource-policy"):
            continue
        if lower == "set-cookie":
            own = own_cookie(value.decode("latin-1"))
            if own is not None:
                kept.append((b"set-cookie", own.encode("latin-1")))
            continue
        kept.append((lower.encode("latin-1"), value))
    return [
        *kept,
        (b"content-security-policy", b"frame-ancestors 'self'"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]


def own_cookie(value: str) -> str | None:
    """A Set-Cookie without its domain; None for one with the gateway's own name."""
    pair, *attributes = (part.strip() for part in value.split(";"))
    if pair.partition("=")[0].strip().removeprefix("__Host-") == COOKIE:
        return None
    return "; ".join([pair, *(a for a in attributes if a.partition("=")[0].strip().lower() != "domain")])
