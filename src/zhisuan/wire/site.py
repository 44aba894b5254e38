"""Site agent → server: joining, inventory, the sync loop, usage, logs, artefacts.

| call | message | answer |
| --- | --- | --- |
| POST /wire/v1/join | JoinRequest (join token, digest of the agent's own credential) | JoinAnswer |
| POST /wire/v1/inventory | Inventory | Accepted |
| POST /wire/v1/sync | SyncRequest: what runs here; waits up to ``wait_seconds`` for a change | SyncAnswer: what should run |
| POST /wire/v1/usage | UsageBatch | Accepted |
| POST /wire/v1/accounts | AccountBatch: the engine's own account of ended runs | Accepted |
| POST /wire/v1/logs | LogChunk | LogAnswer with the next offset wanted |
| PUT /wire/v1/artefacts/{lease_id}/{generation}?path=… | the file's bytes | ArtefactAnswer |
| GET /wire/v1/blobs/{blob_id} | – | the archive's bytes; of a checkpoint, its files as an archive |
| GET /wire/v1/secrets/{lease_id}/{generation} | – | SecretValues |
| POST, PUT /wire/v1/checkpoints/… | see ``wire.checkpoints`` | |

All but ``join`` carry ``Authorization: Bearer <site credential>``.
"""

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field

from zhisuan.wire.common import LeaseKey, Message
from zhisuan.wire.data import VolumeMount


class MeasurementReport(Message):
    """One probe result; ``mflops`` is 10⁶ floating-point operations a second, 2·n³ for a product of n × n matrices."""

    precision: str
    mflops: int = Field(ge=0)
    method: str
    at: AwareDatetime


class DeviceReport(Message):
    """One device of a node. For kind ``cpu`` the device is all usable cores and capacity is in milli-cores; for kind
    ``memory`` it is MiB; an accelerator is 1000 milli-cards. Neither a ``failed`` device is offered nor an ``occupied``
    one: that is sound, and held by processes that are not the platform's. ``note`` says why, in both languages."""

    key: str
    kind: Literal["cpu", "memory", "accelerator"]
    class_id: str | None = None
    name: str
    capacity: int = Field(ge=0)
    memory_mib: int | None = None
    health: Literal["ok", "degraded", "failed", "unknown", "occupied"] = "ok"
    note: str | None = None
    measurements: tuple[MeasurementReport, ...] = ()


class NodeReport(Message):
    hostname: str
    os: str
    architecture: str
    boot_id: str
    facts: dict[str, object] = Field(default_factory=dict)
    devices: tuple[DeviceReport, ...]


class EngineFacts(Message):
    """What the site's engine is and how well it isolates; ``problems`` are codes with text in both languages. ``nodes_max`` is
    the most nodes that one lease may have. ``jupyterlab``: whether workspaces with JupyterLab can run; None: not known, as of agents
    that do not say it. ``shells``: whether a shell can be opened beside running work; None, as of agents that do not know of it: no."""

    engine: str
    version: str
    isolation: Literal["sandbox", "user_sandbox", "none"]
    allow_unisolated: bool = False
    nodes_max: int = Field(default=1, ge=1)
    jupyterlab: bool | None = None
    shells: bool | None = None
    limits: dict[str, object] = Field(default_factory=dict)
    problems: tuple[dict[str, str], ...] = ()


class JoinRequest(Message):
    """``credential_digest`` is the SHA-256 of a secret that the agent has made and kept: the site's credential from now on.
    The same token with the same digest is answered alike, so an agent killed before it heard the answer can ask again."""

    token: str
    agent_version: str
    hostname: str
    credential_digest: str = Field(min_length=64, max_length=64)


class JoinAnswer(Message):
    site_id: str
    site_name: str
    gateway_url: str | None = None


class Inventory(Message):
    engine: EngineFacts
    nodes: tuple[NodeReport, ...]


class LeasePhase(StrEnum):
    """What the agent sees of a lease's work."""

    accepted = "accepted"
    running = "running"
    exited = "exited"


class ProgressReport(Message):
    fraction_ppm: int = Field(ge=0, le=1_000_000)
    message: str = ""


class LeaseReport(LeaseKey):
    """The latest of one lease. ``started_at``/``ended_at`` are whole seconds: metered time is ``[started, ended)``.

    ``complete`` says that logs, usage and artefacts of an exited lease have all been delivered.
    """

    phase: LeasePhase
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None
    ready: bool | None = None
    progress: ProgressReport | None = None
    cpu_milliseconds: int = 0
    memory_peak_bytes: int = 0
    complete: bool = False


class SyncRequest(Message):
    """``only_tells``: the answer's list of leases is not looked at, and may be left out."""

    agent_boot: str
    sequence: int
    at: AwareDatetime
    known_version: str | None = None
    wait_seconds: int = Field(default=0, ge=0, le=30)
    leases: tuple[LeaseReport, ...] = ()
    only_tells: bool = False


class ArchiveMount(Message):
    blob_id: str
    target: str


class DeviceGrantMessage(Message):
    """A share of one device of the node: ``amount`` in the unit of the device's capacity."""

    key: str
    kind: Literal["cpu", "memory", "accelerator"]
    amount: int


class NodeGrantMessage(Message):
    """What a lease holds of one node."""

    hostname: str
    devices: tuple[DeviceGrantMessage, ...]


class LeaseOffer(LeaseKey):
    """What should run, whole but for uploads and secrets. ``nodes`` are in the order of their ranks, with
    alike shares on each. Every sync that is answered renews the lease for ``term_seconds``; without one for so long the agent
    ends the work by itself, so that the server may start it elsewhere. ``secrets`` are names: the values are asked for when the
    work starts (``SecretValues``), so that no copy of an offer holds them. ``checkpoint_id`` is what the work begins from,
    fetched as a blob; ``checkpoint_seconds`` how often its folder is saved while it runs; after ``idle_seconds`` without use the agent
    ends the work with reason ``idle``."""

    workload_id: str
    workload_name: str
    nodes: tuple[NodeGrantMessage, ...] = Field(min_length=1)
    setup: str | None = None
    run: str
    env: dict[str, str] = Field(default_factory=dict)
    max_seconds: int | None = None
    workdir_blob: str | None = None
    mounts: tuple[ArchiveMount, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    service_port: int | None = None
    readiness_path: str | None = None
    artefacts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    desired: Literal["run", "stop"] = "run"
    grace_seconds: int = 10
    term_seconds: int | None = Field(default=None, ge=1)
    on_stop: str | None = None
    checkpoint_id: str | None = None
    checkpoint_seconds: int | None = Field(default=None, ge=1)
    idle_seconds: int | None = Field(default=None, ge=1)


class SecretValues(Message):
    """The variables that an open lease of the asking site names as its secrets. Kept in no journal, told to no log."""

    values: dict[str, str]


class SyncAnswer(Message):
    """All leases the site should hold now. A lease the agent holds and that is not here is over: stop and forget it
    once its end has been reported. ``version`` changes exactly when the list does. ``gateway_url`` replaces the one of
    the join."""

    version: str
    server_time: AwareDatetime
    leases: tuple[LeaseOffer, ...]
    gateway_url: str | None = None


class UsageWindow(LeaseKey):
    """Metered time ``[start, end)`` of one lease, whole seconds, inside one minute. Its identity is (site, id); the id is
    made from lease, generation and start, so a replay carries the same id."""

    id: str
    start: AwareDatetime
    end: AwareDatetime


class UsageBatch(Message):
    windows: tuple[UsageWindow, ...] = Field(max_length=10_000)


class AccountReport(LeaseKey):
    """What the site's engine itself says of an ended run (``engines.contract.EngineAccount``); None: not in its books."""

    source: str = Field(max_length=40)
    reference: str = Field(max_length=300)
    state: str = Field(max_length=100)
    started_at: AwareDatetime
    ended_at: AwareDatetime
    elapsed_milliseconds: int = Field(ge=0, lt=2**53)
    cpu_milliseconds: int | None = Field(default=None, ge=0, lt=2**53)
    nodes: int | None = Field(default=None, ge=0, lt=2**31)


class AccountBatch(Message):
    accounts: tuple[AccountReport, ...] = Field(max_length=1_000)


class LogChunk(LeaseKey):
    """Bytes of the combined output from ``offset``, base64."""

    offset: int = Field(ge=0)
    data: str = Field(max_length=2_000_000)


class LogAnswer(Message):
    next_offset: int


class ArtefactAnswer(Message):
    path: str
    size_bytes: int
    sha256: str
