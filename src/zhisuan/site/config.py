"""What the agent is told when it starts; a JSON file for ``python -m zhisuan.site``, or made in place by the embedder."""

import json
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, IPvAnyNetwork, SecretStr, Tag, ValidationError

from zhisuan.base.text import Text
from zhisuan.engines.hosts.config import HostsEngineConfig
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.engines.ray.config import RayEngineConfig
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.site.errors import ConfigUnusable
from zhisuan.site.private_file import write_private
from zhisuan.site.probes import Budget


class ProbeSettings(BaseModel):
    """``fresh``: measure again although this boot and version have been measured. ``budget``: milliseconds by part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    fresh: bool = False
    budget: Budget = Budget()


def _kind(value: Any) -> str:
    """The engine's kind of a file or an object; the local one where none is named."""
    return str(value.get("kind", "local") if isinstance(value, Mapping) else getattr(value, "kind", "local"))


EngineConfig = Annotated[
    Annotated[LocalEngineConfig, Tag("local")]
    | Annotated[SlurmEngineConfig, Tag("slurm")]
    | Annotated[RayEngineConfig, Tag("ray")]
    | Annotated[HostsEngineConfig, Tag("hosts")],
    Discriminator(_kind),
]


class AgentConfig(BaseModel):
    """``data_dir`` keeps credential, journal, archives and runs of this one site. ``join_token`` is needed until the site
    has joined. ``gateway_url`` overrides what the server says. ``ca_file``: trust this authority (PEM) for the server
    beside none other. ``link_networks``: addresses that are not public and may still be connected to when the distance of
    other sites is measured. ``memory_reserve_mib``: memory not offered to work. ``exit_with_parent``: end when the
    process that started the agent has ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path
    server_url: str = Field(pattern=r"^https?://")
    join_token: SecretStr | None = None
    gateway_url: str | None = Field(default=None, pattern=r"^https?://")
    ca_file: Path | None = None
    engine: EngineConfig = LocalEngineConfig()
    probe: ProbeSettings = ProbeSettings()
    link_networks: tuple[IPvAnyNetwork, ...] = ()
    memory_reserve_mib: int | None = Field(default=None, ge=0)
    blob_cache_bytes_max: int = Field(default=10 * 1024**3, ge=0)
    volume_cache_bytes_max: int = Field(default=100 * 1024**3, ge=0)
    exit_with_parent: bool = False


def read_config(path: Path) -> AgentConfig:
    """Raises ConfigUnusable with every problem of the file and where it is."""
    try:
        return AgentConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _unusable(path, str(error.strerror), str(error.strerror)) from error
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise _unusable(path, found, found) from error


def write_config(config: AgentConfig, path: Path) -> None:
    """The file for ``python -m zhisuan.site``, readable by its owner only: secrets are in it."""
    write_private(path, json.dumps(config.model_dump(), indent=2, default=_written))


def _written(value: object) -> str:
    """Paths and networks as text, secrets in the clear."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path | IPv4Network | IPv6Network):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot stand in the agent's configuration")


def _unusable(path: Path, en: str, zh: str) -> ConfigUnusable:
    return ConfigUnusable(
        Text(f"The agent's configuration {path} cannot be used: {en}.", f"代理配置 {path} 无法使用：{zh}。"),
        Text("Correct the file and start again.", "请修正该文件后重新启动。"),
    )
