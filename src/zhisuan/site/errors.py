"""Errors of the agent.

ZhisuanError
├── AgentStop                the agent cannot go on; ``exit_status`` is what its process ends with
│   ├── ConfigUnusable       2  the configuration cannot be read or names something that is not there
│   ├── JoinRefused          3  the server does not take the join token
│   ├── CredentialRevoked    4  the server no longer knows the site's credential
│   ├── AnotherAgent         5  an agent already works on this data folder
│   └── JournalUnreadable    6  the journal in the data folder is damaged
└── ServerProblem            a call to the server did not succeed
    ├── Unreachable          no answer, or one that asks to come back later: worth trying again
    └── Refused              the server understood and said no: trying again unchanged gives the same
"""

from typing import ClassVar

from zhisuan.base.errors import ZhisuanError
from zhisuan.base.text import Text


class AgentStop(ZhisuanError):
    """Ends the agent's process with ``exit_status``; running work goes on under the engine."""

    exit_status: ClassVar[int] = 1


class ConfigUnusable(AgentStop):
    exit_status = 2
    default_code = "agent_config_unusable"


class JoinRefused(AgentStop):
    exit_status = 3
    default_code = "join_refused"


class CredentialRevoked(AgentStop):
    exit_status = 4
    default_code = "credential_revoked"


class AnotherAgent(AgentStop):
    exit_status = 5
    default_code = "another_agent"


class JournalUnreadable(AgentStop):
    exit_status = 6
    default_code = "journal_unreadable"


class ServerProblem(ZhisuanError):
    """A call to the server that brought no answer to use."""


class Unreachable(ServerProblem):
    status = 503
    default_code = "server_unreachable"

    def __init__(self, why: str) -> None:
        super().__init__(
            Text(f"The server cannot be reached: {why}.", f"无法连接服务器：{why}。"),
            Text("The agent keeps what it has and tries again.", "代理会保留已有数据并继续重试。"),
        )
        self.why = why


class Refused(ServerProblem):
    """``http_status`` and ``code`` are the server's; ``detail`` is its own sentence, ``said`` the same in both languages."""

    default_code = "server_refused"

    def __init__(
        self, http_status: int, code: str, detail: str, remedy: str = "", *, zh: tuple[str, str] = ("", "")
    ) -> None:
        """``zh`` is detail and remedy in Chinese, where the server said them."""
        self.said = Text(detail, zh[0] or detail)
        super().__init__(
            Text(
                f"The server refused ({http_status} {code}): {detail}",
                f"服务器拒绝（{http_status} {code}）：{self.said.zh}",
            ),
            Text(remedy, zh[1] or remedy),
        )
        self.http_status = http_status
        self.server_code = code
        self.detail = detail

    @property
    def unknown(self) -> bool:
        """Whether the thing spoken of does not exist for the server (any more)."""
        return self.http_status in (404, 410)
