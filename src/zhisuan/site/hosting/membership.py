"""Which head this host belongs to, and the credential by which the head knows it. Made on the first start, kept for ever."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from zhisuan.base.ids import Ids
from zhisuan.base.text import Text
from zhisuan.site.errors import ConfigUnusable
from zhisuan.site.hosting.config import HostConfig
from zhisuan.site.private_file import write_private

FILE_NAME = "host.json"


class Membership(BaseModel):
    """``fingerprint`` is that of the head's certificate. ``joined``: the head has taken the credential."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    fingerprint: str
    credential: str
    joined: bool = False


def load(data_dir: Path) -> Membership | None:
    """Raises ConfigUnusable when the file is not what the daemon wrote."""
    path = data_dir / FILE_NAME
    try:
        return Membership.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ConfigUnusable(
            Text(f"The host's credential {path} cannot be read.", f"主机凭据 {path} 无法读取。"),
            Text(
                "Restore the file, or remove it and join again with a new token.",
                "请恢复该文件；或者将其删除，再用新令牌加入。",
            ),
        ) from error


def keep(data_dir: Path, membership: Membership) -> None:
    write_private(data_dir / FILE_NAME, membership.model_dump_json())


def begin(config: HostConfig, ids: Ids) -> Membership:
    """What is kept, or a new membership that the head has not heard of yet. Raises ConfigUnusable without a token."""
    kept = load(config.data_dir)
    token = config.token.get_secret_value() if config.token is not None else ""
    if kept is not None and (kept.joined or not token):
        return kept
    secret, _, fingerprint = token.rpartition(".")
    if not secret or len(fingerprint) != 64 or set(fingerprint) - set("0123456789abcdef"):
        raise ConfigUnusable(
            Text(
                "This host has not joined a site, and there is no whole token.",
                "本主机尚未加入站点，且没有完整的令牌。",
            ),
            Text(
                "Run 'zhisuan site host-token' on the site's head and use the command it prints.",
                "请在站点主节点运行 zhisuan site host-token，并使用它给出的命令。",
            ),
        )
    made = Membership(
        name=config.name,
        fingerprint=fingerprint,
        credential=kept.credential if kept is not None else ids.secret("zsk"),
    )
    keep(config.data_dir, made)
    return made
