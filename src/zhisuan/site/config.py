"""What the agent is told when it starts; a JSON file for ``python -m zhisuan.site``, or made in place by the embedder."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from zhisuan.base.text import Text
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.site.errors import ConfigUnusable
from zhisuan.site.private_file import write_private
from zhisuan.site.probes import Budget


class ProbeSettings(BaseModel):
    """``fresh``: measure again although this boot and version have been measured. ``budget``: milliseconds by part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    fresh: bool = False
    budget: Budget = Budget()


class AgentConfig(BaseModel):
    """``data_dir`` keeps credential, journal, archives and runs of this one site. ``join_token`` is needed until the site
    has joined. ``gateway_url`` overrides what the server says. ``ca_file``: trust this authority (PEM) for the server
    beside none other. ``memory_reserve_mib``: memory not offered to work. ``exit_with_parent``: end when the
    process that started the agent has ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path
    server_url: str = Field(pattern=r"^https?://")
    join_token: SecretStr | None = None
    gateway_url: str | None = Field(default=None, pattern=r"^https?://")
    ca_file: Path | None = None
    engine: LocalEngineConfig = LocalEngineConfig()
    probe: ProbeSettings = ProbeSettings()
    memory_reserve_mib: int | None = Field(default=None, ge=0)
    blob_cache_bytes_max: int = Field(default=10 * 1024**3, ge=0)
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
    """The file for ``python -m zhisuan.site``, readable by its owner only: the join token is in it."""
    fields = config.model_dump(mode="json")
    fields["join_token"] = config.join_token.get_secret_value() if config.join_token is not None else None
    write_private(path, json.dumps(fields, indent=2))


def _unusable(path: Path, en: str, zh: str) -> ConfigUnusable:
    return ConfigUnusable(
        Text(f"The agent's configuration {path} cannot be used: {en}.", f"代理配置 {path} 无法使用：{zh}。"),
        Text("Correct the file and start again.", "请修正该文件后重新启动。"),
    )
