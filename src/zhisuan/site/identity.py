"""Who this site is: the first start trades a join token for a credential of its own; every later start reads it.

1. The agent makes a secret and keeps it on disk.
2. It joins with the token and the secret's digest.
3. The server's answer says which site this is; the file is complete.

A kill between 1 and 3 is repaired by joining again with the same token and the same digest, which a server answers alike.
Later the credential is replaced now and then (``site.rotation``).
"""

import platform
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from zhisuan import __version__
from zhisuan.base.ids import Ids
from zhisuan.base.secrets import digest
from zhisuan.base.text import Text
from zhisuan.site.backoff import Backoff, Link, log, until_reached
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import ConfigUnusable
from zhisuan.site.private_file import write_private
from zhisuan.wire.joining import SiteJoinRequest, SiteRegistration

FILE_NAME = "credential.json"


class Identity(BaseModel):
    """``site_id`` is empty until the server has answered. ``since``: when this agent began to use the credential;
    ``next_credential``: one that it has offered the server, and that may or may not have taken the other's place."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    credential: str
    site_id: str = ""
    site_name: str = ""
    gateway_url: str | None = None
    since: AwareDatetime | None = None
    next_credential: str = ""


def load(data_dir: Path) -> Identity | None:
    """The kept identity, or ``None`` on a first start. Raises ConfigUnusable when the file cannot be read."""
    path = data_dir / FILE_NAME
    try:
        return Identity.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not what the agent wrote"
        raise ConfigUnusable(
            Text(f"The site's credential {path} cannot be read: {reason}.", f"站点凭据 {path} 无法读取：{reason}。"),
            Text(
                "Restore the file, or remove it and start the agent with a new join token.",
                "请恢复该文件；或者将其删除，再用新的加入令牌启动代理。",
            ),
        ) from error


def keep(data_dir: Path, identity: Identity) -> None:
    """Write the file whole or not at all, readable by its owner only."""
    write_private(data_dir / FILE_NAME, identity.model_dump_json())


async def establish(
    data_dir: Path,
    join_token: str | None,
    client: ServerClient,
    ids: Ids,
    backoff: Backoff,
    link: Link,
    registration: SiteRegistration | None = None,
) -> Identity:
    """The site's identity, joining if need be (with what ``registration`` says of the site); keeps trying while the server
    is away.

    Raises JoinRefused, and ConfigUnusable when there is neither a credential nor a token.
    """
    identity = load(data_dir)
    if identity is not None and identity.site_id:
        return identity
    if not join_token:
        raise ConfigUnusable(
            Text("This site has not joined a platform yet.", "本站点尚未加入任何平台。"),
            Text(
                "Ask the platform's operator for a join token and start the agent with it.",
                "请向平台运营方申请加入令牌，并用它启动代理。",
            ),
        )
    if identity is None:
        identity = Identity(credential=ids.secret("zsc"))
        keep(data_dir, identity)
    request = SiteJoinRequest(
        token=join_token,
        registration=registration,
        agent_version=__version__,
        hostname=platform.node() or "localhost",
        credential_digest=digest(identity.credential),
    )
    log.info("Joining the platform as %s.", request.hostname)
    answer = await until_reached(link, backoff, lambda: client.join(request))
    joined = Identity(
        credential=identity.credential,
        site_id=answer.site_id,
        site_name=answer.site_name,
        gateway_url=answer.gateway_url,
    )
    keep(data_dir, joined)
    log.info("Joined as site %s (%s).", joined.site_name, joined.site_id)
    return joined
