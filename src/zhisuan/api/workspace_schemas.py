"""What the API says of workspaces."""

from datetime import datetime
from typing import Literal

from zhisuan.api.schemas import Answer, WorkloadView


class WorkspaceView(WorkloadView):
    """A workspace: ``ready`` says whether its session answers, ``cash_ucny`` and ``charged_udu`` what has been charged for it so far
    (grants and packs pay before the wallet does), ``hour_ucny`` what an hour costs without them, ``seconds`` how long it has been metered. Clients reach it at ``gateway_url`` with their key."""

    session: Literal["jupyter", "shell"]
    status: Literal["waiting", "starting", "ready", "ended"]
    site_name: str | None
    seconds: int
    cash_ucny: int
    charged_udu: int
    hour_ucny: int
    gateway_url: str


class WorkspaceLink(Answer):
    """An address for one browser, good once until ``until``."""

    url: str
    until: datetime
