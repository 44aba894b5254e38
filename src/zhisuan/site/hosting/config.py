"""What a host's daemon is told when it starts; a JSON file for ``python -m zhisuan.site.hosting``, or made in place."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from zhisuan.base.text import Text
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.site.config import ProbeSettings
from zhisuan.site.errors import ConfigUnusable
from zhisuan.site.private_file import write_private


class HostConfig(BaseModel):
    """``head``: the head's address, ``host:port``. ``token`` is needed until the host has joined. ``name``: what the site
    calls it. ``address``: where the site's other hosts reach it, when that is not the address it reaches the head from.
    ``engine`` is the host's own; ``memory_reserve_mib`` memory not offered to work."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path
    head: str = Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$")
    token: SecretStr | None = None
    name: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$")
    address: str | None = None
    engine: LocalEngineConfig = LocalEngineConfig()
    probe: ProbeSettings = ProbeSettings()
    memory_reserve_mib: int | None = Field(default=None, ge=0)


def read_host_config(path: Path) -> HostConfig:
    """Raises ConfigUnusable with every problem of the file and where it is."""
    try:
        return HostConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from error
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise _unusable(path, found) from error


def write_host_config(config: HostConfig, path: Path) -> None:
    """Readable by its owner only: a token may be in it."""
    write_private(path, json.dumps(config.model_dump(), indent=2, default=_written))


def _written(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot stand in the daemon's configuration")


def _unusable(path: Path, why: str) -> ConfigUnusable:
    return ConfigUnusable(
        Text(f"The daemon's configuration {path} cannot be used: {why}.", f"守护进程配置 {path} 无法使用：{why}。"),
        Text("Correct the file and start again.", "请修正该文件后重新启动。"),
    )
