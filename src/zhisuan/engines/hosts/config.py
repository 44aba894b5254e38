"""What the operator of a site may choose about the engine of several hosts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from zhisuan.engines.local.config import default_runtime_dir
from zhisuan.engines.local.seat import GangNetwork
from zhisuan.engines.models import AcceleratorModel

Positive = Annotated[int, Field(gt=0)]
Port = Annotated[int, Field(ge=1, le=65535)]

PORT = 8627


class HostsEngineConfig(BaseModel):
    """All values have a working default.

    - ``listen``, ``port``: where the hosts' daemons come to. Every host proves itself, and everything is encrypted; the
      site's own network is enough, nothing need be reachable from outside.
    - ``gang_network``: what the ranks of a run over several hosts see of the network: ``none``, their loopback alone, or
      ``host``, the hosts' own network, with all that can be reached from there.
    - ``rendezvous_port_first``, ``rendezvous_ports``: with ``gang_network: host`` each run over several hosts is promised
      one port of this range on its first host.
    - ``allow_unisolated``: run tenants' work on hosts that cannot isolate it, where the host's own operator allows it too.
    - ``orphan_grace_seconds``: how long work goes on without a sign from the head, where the lease gives no shorter term;
      for as long a host may be silent before its work counts as lost.
    - ``margin_seconds``: added to that by the head, so that a host has ended the work before the head says so.
    - ``timeout_grace_seconds``: from SIGTERM to SIGKILL for the ranks of a run that one of them has ended.
    - ``reconnect_seconds``: how long a head that has just begun waits for the hosts it knows before it says they are away.
    - ``log_bytes_max``, ``runtime_dir``: as for the local engine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["hosts"] = "hosts"
    listen: str = "0.0.0.0"  # noqa: S104 - hosts come from the site's network; who is none of them gets no answer
    port: Annotated[int, Field(ge=0, le=65535)] = PORT
    gang_network: GangNetwork = "none"
    rendezvous_port_first: Port = 29_600
    rendezvous_ports: Positive = 200
    allow_unisolated: bool = False
    orphan_grace_seconds: Positive = 3600
    margin_seconds: Positive = 15
    timeout_grace_seconds: Annotated[int, Field(ge=0)] = 10
    reconnect_seconds: Annotated[int, Field(ge=0)] = 5
    log_bytes_max: Positive = 64 << 20
    runtime_dir: Path = Field(default_factory=default_runtime_dir)

    @property
    def accelerator_models(self) -> Mapping[str, AcceleratorModel]:
        """The hosts' own tools name their cards, so nothing needs a translation."""
        return {}

    @field_validator("runtime_dir")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError(f"runtime_dir must be an absolute path, not {value}")
        return value
