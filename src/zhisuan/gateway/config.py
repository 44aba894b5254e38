"""What one gateway is told at its start."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

MIB = 1024 * 1024


class GatewayConfig(BaseModel):
    """Settings of one gateway. Times are seconds, sizes are bytes.

    ``server_url`` is the base address of the server, ``credential`` this gateway's own secret there and
    ``gateway_name`` its stable name: usage is identified by (name, call), so a name is never shared nor changed while
    the journal holds rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    server_url: str
    credential: SecretStr
    gateway_name: str = Field(min_length=1)
    journal_path: Path
    gateway_url: str = ""
    """The address of this gateway as others are told it; with ``workspace_url`` it says where workspaces are in a browser."""
    workspace_url: str | None = None

    body_bytes_max: int = Field(default=8 * MIB, gt=0)
    answer_bytes_max: int = Field(default=32 * MIB, gt=0)
    calls_max: int = Field(default=2_048, gt=0)
    calls_per_key_max: int = Field(default=64, gt=0)

    body_seconds_max: float = Field(default=60.0, gt=0)
    first_byte_seconds_max: float = Field(default=600.0, gt=0)
    """From sending the call to a replica until its first byte; an answer that is not streamed is one byte long here."""
    stream_first_byte_seconds_max: float = Field(default=120.0, gt=0)
    idle_seconds_max: float = Field(default=60.0, gt=0)
    client_write_seconds_max: float = Field(default=120.0, gt=0)

    control_seconds_max: float = Field(default=5.0, gt=0)
    authorise_wait_seconds_max: float = Field(default=2.0, gt=0)
    stale_seconds_max: float = Field(default=300.0, ge=0)
    refused_ttl_seconds: float = Field(default=3.0, gt=0)
    routes_wait_seconds: int = Field(default=25, ge=0, le=30)
    site_recheck_seconds: float = Field(default=60.0, gt=0)

    suspect_seconds: float = Field(default=5.0, ge=0)
    checkpoint_seconds: float = Field(default=1.0, gt=0)
    ship_interval_seconds: float = Field(default=1.0, gt=0)
    ship_batch_max: int = Field(default=1_000, gt=0, le=5_000)
    ping_seconds: float = Field(default=5.0, gt=0)
    stop_seconds_max: int = Field(default=10, ge=0)
    workspace_streams_max: int = Field(default=128, gt=0)
    """Requests and connections of one workspace at once: a page needs some ten."""
    shells_max: int = Field(default=16, gt=0)
    """Shells beside one piece of work at once, through this gateway."""
    workspace_recheck_seconds: float = Field(default=15.0, gt=0)
    """How often it is asked whether the holder of an open connection may still have it."""
    workspace_idle_seconds_max: float = Field(default=300.0, gt=0)
    """A request that is not a WebSocket may stand still for so long."""
