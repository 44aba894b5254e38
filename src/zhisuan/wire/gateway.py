"""Gateway → server, and the tunnel that site agents open outbound to the gateway.

| call | message | answer |
| --- | --- | --- |
| POST /wire/v1/gateway/authorise | KeyQuestion | KeyAnswer (cached by the gateway for ``ttl_seconds``) |
| POST /wire/v1/gateway/routes | RoutesQuestion: waits up to ``wait_seconds`` for a change | RoutesAnswer |
| POST /wire/v1/gateway/site | SiteQuestion | SiteAnswer |
| POST /wire/v1/gateway/usage | TokenUsageBatch | Accepted |
| POST /wire/v1/gateway/workspace | WorkspaceQuestion | WorkspaceAnswer (cached by the gateway for ``ttl_seconds``) |
| POST /wire/v1/gateway/enter | WorkspaceEntry | WorkspaceEntered |
| POST /wire/v1/gateway/shell | ShellQuestion | ShellAnswer |

All carry ``Authorization: Bearer <gateway credential>``.

Tunnel: WebSocket ``/tunnel`` of the gateway, ``Authorization: Bearer <site credential>``. One binary message is one frame:
one byte of type, four bytes of stream number (big endian), then the payload.

| type | direction | payload |
| --- | --- | --- |
| 1 OPEN | gateway → site | TunnelOpen as JSON |
| 2 DATA | both | bytes of the request or answer body |
| 3 END | both | empty: this side's body is complete |
| 4 HEAD | site → gateway | TunnelHead as JSON, before the answer's DATA |
| 5 RESET | both | TunnelReset as JSON: the stream is over |
| 6 CREDIT | both | four bytes: how many more DATA bytes the receiver takes on this stream |
| 7 BATCH | both | several frames, each after four bytes of its length; the stream number is 0 |

A new stream starts with ``WINDOW_BYTES`` of credit each way (``wire/frames.py`` has the codec, ``wire/flow.py`` the
credit). The gateway numbers streams from 1 and uses no number twice on a connection; a frame of an unknown stream or of
an unknown type is ignored. A stream is over when the site has sent END, or either side RESET.

An OPEN with the method CONNECT asks for a stream of bytes in place of a request: the site connects to the service, answers
HEAD 200, and DATA are then the bytes of the connection, each way. END closes one way only; such a stream is over when both
sides have sent END, or either side RESET. The method SHELL asks for such a stream into the sandbox of the lease's work: ``path`` is
the rank after a slash, and the bytes are the frames of ``base.shells``. The server says which sites know of it.
"""

from typing import Literal

from pydantic import AwareDatetime, Field

from zhisuan.wire.common import LeaseKey, Message


class KeyQuestion(Message):
    key_digest: str


class KeyAnswer(Message):
    """Whether the key is good, whose it is, and whether a purse covers more calls. ``models`` empty means all of the
    organisation's."""

    valid: bool
    key_id: str = ""
    org_id: str = ""
    project_id: str | None = None
    funded: bool = True
    ttl_seconds: int = 10
    models: tuple[str, ...] = ()


class RoutesQuestion(Message):
    known_version: str | None = None
    wait_seconds: int = Field(default=0, ge=0, le=30)


class Replica(LeaseKey):
    site_id: str
    ready: bool


class Route(Message):
    """One served model: its name within an organisation, and the replicas that answer for it."""

    deployment_id: str
    org_id: str
    model: str
    upstream_model: str
    version: str
    created: AwareDatetime
    replicas: tuple[Replica, ...]


class RoutesAnswer(Message):
    version: str
    routes: tuple[Route, ...]


class SiteQuestion(Message):
    credential_digest: str


class SiteAnswer(Message):
    valid: bool
    site_id: str = ""


class TokenUsage(Message):
    """Tokens of one model call. Identity is (gateway, id). ``outcome`` says how the call ended; ``estimated`` that the
    upstream gave no counts and these were counted from what was delivered. ``input_tokens`` counts all input, the
    ``cached_input_tokens`` among them. ``at`` is when the call arrived."""

    id: str
    at: AwareDatetime
    org_id: str
    project_id: str | None
    key_id: str
    deployment_id: str
    lease_id: str
    model: str
    input_tokens: int = Field(ge=0)
    cached_input_tokens: int = Field(ge=0, default=0)
    output_tokens: int = Field(ge=0)
    estimated: bool = False
    outcome: Literal["completed", "client_closed", "upstream_failed"] = "completed"
    duration_ms: int = Field(ge=0)
    first_token_ms: int | None = None


class TokenUsageBatch(Message):
    gateway: str
    events: tuple[TokenUsage, ...] = Field(max_length=5_000)


class WorkspaceQuestion(Message):
    """May the holder of this credential (an API key, a console session or the cookie of a browser) use this workspace?"""

    workload_id: str
    credential_digest: str


class WorkspaceAnswer(Message):
    """``valid`` is false for a workspace that is unknown, another's, or not open to this credential, alike. ``state`` is
    ``waiting`` (no site has it yet), ``starting``, ``ready`` or ``ended``; the lease's fields are there from ``starting`` on, and
    ``token`` is what the session in the sandbox asks for."""

    valid: bool
    state: Literal["waiting", "starting", "ready", "ended"] = "ended"
    org_id: str = ""
    lease_id: str = ""
    generation: int = 0
    site_id: str = ""
    token: str = Field(default="", repr=False)
    ttl_seconds: int = 5


class WorkspaceEntry(Message):
    """Change the ticket of a link for a session whose secret the gateway has made. The same pair again is answered alike."""

    workload_id: str
    ticket_digest: str
    session_digest: str


class WorkspaceEntered(Message):
    valid: bool
    seconds: int = 0


class ShellQuestion(Message):
    """May the holder of this credential have a shell beside the work of this rank? ``opening``: it is about to be opened, which is
    written down; otherwise it is asked whether one that is open may stay."""

    workload_id: str
    rank: int = Field(ge=0, lt=100_000)
    credential_digest: str
    opening: bool = False


class ShellRefusal(Message):
    """Why not, as a person is told it, in both languages."""

    status: int
    code: str
    what_en: str
    what_zh: str
    remedy_en: str
    remedy_zh: str


class ShellAnswer(Message):
    """Where the work is, or why there is no shell; unknown work, another's, and work not open to this credential are refused alike."""

    refusal: ShellRefusal | None = None
    lease_id: str = ""
    generation: int = 0
    site_id: str = ""


class TunnelOpen(Message):
    """A request for the service of one lease; header names are lower case."""

    lease_id: str
    generation: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()


class TunnelHead(Message):
    status: int
    headers: tuple[tuple[str, str], ...] = ()


class TunnelReset(Message):
    """``code`` is one of ``no_such_service``, ``no_shell``, ``connect_failed``, ``upstream_failed``, ``flow_control``,
    ``too_many_streams``, ``cancelled``, ``bad_request``."""

    code: str
    message: str = ""
