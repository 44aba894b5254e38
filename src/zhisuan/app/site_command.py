"""``zhisuan site join``: the agent of a site on this machine, for a platform elsewhere."""

from pathlib import Path

from pydantic import SecretStr, ValidationError

from zhisuan.app.supervisor import runtime_prefixes
from zhisuan.base.errors import InvalidInput
from zhisuan.base.settings import default_data_dir
from zhisuan.base.text import Text
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.site.config import AgentConfig
from zhisuan.site.main import run_agent


def join_site(url: str, token: str | None, data_dir: Path | None, *, allow_unisolated: bool) -> None:
    """Run the agent until told to stop; a later start needs no token. Raises ``InvalidInput`` for a wrong address."""
    folder = data_dir or default_data_dir().with_name("zhisuan-site")
    try:
        config = AgentConfig(
            data_dir=folder, server_url=url, join_token=SecretStr(token) if token else None,
            engine=LocalEngineConfig(runtime_prefixes=tuple(Path(p) for p in runtime_prefixes()), allow_unisolated=allow_unisolated),
        )  # fmt: skip
    except ValidationError as error:
        raise InvalidInput(
            Text(f"{url!r} is not the address of a server.", f"{url!r} 不是服务器地址。"),
            Text("Write it as http://host:port or https://host.", "请写成 http://主机:端口 或 https://主机。"),
        ) from error
    run_agent(config)
