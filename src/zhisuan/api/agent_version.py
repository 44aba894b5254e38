"""Turns away agents that are older than this server can understand."""

from fastapi import Request

from zhisuan import __version__
from zhisuan.base.errors import AgentTooOld
from zhisuan.base.text import Text
from zhisuan.wire.versions import OLDEST_AGENT, agent_version, is_too_old


def require_known_version(request: Request) -> None:
    """Raises ``AgentTooOld``."""
    version = agent_version(request.headers.get("user-agent", ""))
    if version is None or not is_too_old(version):
        return
    oldest = ".".join(map(str, OLDEST_AGENT))
    raise AgentTooOld(
        Text(
            f"This agent is zhisuan {version:.40}; this server, {__version__}, works with agents from {oldest} on.",
            f"该代理版本为 zhisuan {version:.40}；本服务器（{__version__}）要求代理不低于 {oldest}。",
        ),
        Text(
            "Upgrade zhisuan on the site's machine and restart its agent. Until then its work goes on there, and what it used "
            "and wrote is kept and handed in afterwards.",
            "请在站点机器上升级 zhisuan 并重启代理。在此之前作业会继续运行，用量与输出会保存在站点，升级后补报。",
        ),
        extra={"oldest": oldest, "server": __version__},
    )
