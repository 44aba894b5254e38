"""Workspaces: interactive sessions, and the way into one."""

from typing import Literal

from pydantic import AwareDatetime

from zhisuan.sdk.types.common import Answer
from zhisuan.sdk.types.work import Workload


class Workspace(Workload):
    """``status`` is ``waiting``, ``starting``, ``ready`` or ``ended``; ``hour_ucny`` is what an hour costs where no grant or pack
    pays; clients reach it below ``gateway_url`` with their key."""

    session: Literal["jupyter", "shell"]
    status: str
    site_name: str | None = None
    seconds: int = 0
    cash_ucny: int = 0
    charged_udu: int = 0
    hour_ucny: int = 0
    gateway_url: str


class WorkspaceLink(Answer):
    """An address that opens a workspace in one browser, once, until ``until``."""

    url: str
    until: AwareDatetime
