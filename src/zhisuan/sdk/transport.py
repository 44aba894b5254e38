"""HTTP beneath the client: keys, retries, pages, errors."""

import secrets
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
from pydantic import TypeAdapter, ValidationError

from zhisuan import __version__
from zhisuan.base.clock import Clock, SystemClock
from zhisuan.base.errors import InvalidInput, ZhisuanError
from zhisuan.base.text import Text
from zhisuan.sdk.problems import GATEWAY_STATUSES, error_of, not_reachable, unexpected

T = TypeVar("T")


class Source(Protocol):
    """Bytes to send, such as an open file."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


Body = Callable[[], Source]
DEFAULT_URL = "http://127.0.0.1:8620"
API = "/api/v1"
PAGE = 100
FIRST_PAUSE_SECONDS = 0.2
PAUSE_SECONDS_MAX = 5.0
RETRY_AFTER_SECONDS_MAX = 60.0
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def api_path(*parts: str) -> str:
    """A path below the API root; each part is one segment, whatever it holds."""
    return API + "".join("/" + quote(part, safe="") for part in parts)


def root_of(base_url: str) -> str:
    """The platform's root address. Raises ``InvalidInput`` for text that is no http address."""
    trimmed = base_url.strip().rstrip("/").removesuffix(API)
    split = urlsplit(trimmed)
    if split.scheme not in ("http", "https") or not split.hostname:
        raise InvalidInput(
            Text(f"{base_url!r} is not the address of a platform.", f"{base_url!r} 不是平台地址。"),
            Text(f"Write it like {DEFAULT_URL}.", f"请写成 {DEFAULT_URL} 这样的形式。"),
            code="invalid_address",
        )
    return trimmed


class Transport:
    """One connection pool to one platform, with one credential.

    A call that changes something carries an idempotency key, the same one on every repetition, so a repetition never
    acts twice. Calls are repeated when the connection fails and on 502, 503 and 504, at most ``retries`` times.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        language: str = "en",
        timeout: float = 30.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
        new_key: Callable[[], str] = lambda: str(uuid4()),
        pause: Callable[[float], None] = time.sleep,
        clock: Clock | None = None,
    ) -> None:
        self.base_url = root_of(base_url)
        self.language = language
        self.retries = retries
        self._timeout = timeout
        self._new_key = new_key
        self._pause = pause
        self._clock = clock or SystemClock()
        headers = {"User-Agent": f"zhisuan/{__version__}", "Accept-Language": language}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        # A proxy named in the environment must not catch what never leaves this machine.
        near = urlsplit(self.base_url).hostname in LOOPBACK
        self._http = httpx.Client(
            base_url=self.base_url, headers=headers, timeout=timeout, transport=transport, trust_env=not near
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        json: Any = None,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout: httpx.Timeout | None = None,
        retries: int | None = None,
    ) -> httpx.Response:
        """The good answer of a call, after repetitions. Raises ``ZhisuanError``."""
        sent = dict(headers or {})
        if method != "GET":
            sent["Idempotency-Key"] = idempotency_key or self._new_key()
        known = {name: value for name, value in (params or {}).items() if value is not None}
        retries = self.retries if retries is None else retries
        for attempt in range(retries + 1):
            last = attempt == retries
            source = body() if body else None
            try:
                answer = self._http.request(
                    method, path, params=known, json=json, content=source, headers=sent, timeout=timeout or self._timeout
                )
            except httpx.TransportError as error:
                if last:
                    raise not_reachable(self.base_url, error) from error
                self._pause(self._backoff(attempt))
                continue
            finally:
                if source:
                    source.close()
            wait = self._wait_before_repeating(answer, attempt)
            if last or wait is None:
                return self._checked(answer)
            self._pause(wait)
        raise AssertionError("the last attempt returns or raises")

    def _wait_before_repeating(self, answer: httpx.Response, attempt: int) -> float | None:
        """Seconds to wait before the same call is worth repeating, or None when it is not."""
        if answer.status_code not in GATEWAY_STATUSES:
            return None
        told = answer.headers.get("Retry-After")
        if told is None:
            return self._backoff(attempt)
        try:
            seconds = float(told)
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(told) - self._clock.now()).total_seconds()
            except (ValueError, TypeError):
                return self._backoff(attempt)
        return max(0.0, seconds) if seconds <= RETRY_AFTER_SECONDS_MAX else None

    def _backoff(self, attempt: int) -> float:
        """Doubling, with up to half of it left to chance so that many clients do not return at once."""
        most: float = min(PAUSE_SECONDS_MAX, FIRST_PAUSE_SECONDS * 2**attempt)
        return most * (0.5 + secrets.randbelow(501) / 1000)

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        raise self._error(answer)

    def _error(self, answer: httpx.Response) -> ZhisuanError:
        where = f"{answer.request.method} {answer.request.url.path}"
        if answer.headers.get("Content-Type", "").partition(";")[0] == "application/problem+json":
            try:
                document = answer.json()
            except ValueError:
                document = None
            if isinstance(document, dict):
                return error_of(answer.status_code, document)
        return unexpected(where, answer.status_code, answer.text[:200].strip() or answer.reason_phrase)

    def _read(self, shape: Any, answer: httpx.Response) -> Any:
        """The body as ``shape``. Raises ``UnexpectedAnswer`` naming the first place that does not fit."""
        where = f"{answer.request.method} {answer.request.url.path}"
        try:
            data = answer.json()
        except ValueError as error:
            raise unexpected(where, answer.status_code, answer.text[:200].strip() or "not JSON") from error
        return self._shaped(shape, data, where, answer.status_code)

    def _shaped(self, shape: Any, data: Any, where: str, status: int = 200) -> Any:
        try:
            return _adapter(shape).validate_python(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise unexpected(where, status, f"{place}: {first['msg']}") from error

    def _get(self, shape: type[T], *path: str, **params: Any) -> T:
        answer: T = self._read(shape, self._send("GET", api_path(*path), params=params))
        return answer

    def _post(self, shape: type[T], *path: str, json: Any = None, idempotency_key: str | None = None) -> T:
        answer: T = self._read(
            shape,
            self._send("POST", api_path(*path), json={} if json is None else json, idempotency_key=idempotency_key),
        )
        return answer

    def _delete(self, *path: str, idempotency_key: str | None = None) -> None:
        self._send("DELETE", api_path(*path), idempotency_key=idempotency_key)

    def _items(self, shape: type[T], *path: str, **params: Any) -> tuple[T, ...]:
        """All of a list that has no pages."""
        answer = self._send("GET", api_path(*path), params=params)
        return tuple(self._read_items(shape, answer)[0])

    def _pages(self, shape: type[T], *path: str, cursor_name: str = "cursor", **params: Any) -> Iterator[T]:
        """Every item of a paged list; the next page is fetched when its first item is asked for."""
        cursor: str | None = None
        while True:
            answer = self._send("GET", api_path(*path), params={"limit": PAGE, **params, cursor_name: cursor})
            items, cursor = self._read_items(shape, answer)
            yield from items
            if cursor is None:
                return

    def _read_items(self, shape: type[T], answer: httpx.Response) -> tuple[list[T], str | None]:
        where = f"{answer.request.method} {answer.request.url.path}"
        data = self._read(dict[str, Any], answer)
        if not isinstance(data.get("items"), list):
            raise unexpected(where, answer.status_code, "there is no list of items in it")
        cursor = data.get("next_cursor")
        return self._shaped(list[shape], data["items"], where), str(cursor) if cursor else None  # type: ignore[valid-type]


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(shape: Any) -> TypeAdapter[Any]:
    found = _ADAPTERS.get(shape)
    if found is None:
        found = _ADAPTERS[shape] = TypeAdapter(shape)
    return found
