"""How a browser gets into a workspace: a ticket in a link, good once and for a minute, becomes the session of a cookie."""

from datetime import timedelta

from sqlalchemy import delete, select

from zhisuan.base.db import Tx
from zhisuan.base.secrets import digest
from zhisuan.workload.tables import Workload, WorkspaceSession

TICKET = timedelta(seconds=60)
SESSION = timedelta(hours=12)


def make_ticket(tx: Tx, workload: Workload, user_id: str) -> str:
    """A ticket for one workspace. Sessions of it that are over are forgotten on the way."""
    tx.session.execute(
        delete(WorkspaceSession).where(
            WorkspaceSession.workload_id == workload.id,
            (WorkspaceSession.session_until <= tx.now)
            | (WorkspaceSession.session_digest.is_(None) & (WorkspaceSession.ticket_until <= tx.now)),
        )
    )
    secret = tx.ids.secret("zst")
    tx.session.add(
        WorkspaceSession(
            id=tx.ids.new("wss"), workload_id=workload.id, org_id=workload.org_id, user_id=user_id, ticket_digest=digest(secret),
            ticket_until=tx.now + TICKET, session_digest=None, session_until=tx.now + SESSION, created_at=tx.now,
        )
    )  # fmt: skip
    tx.session.flush()
    return secret


def enter(tx: Tx, workload_id: str, ticket_digest: str, session_digest: str) -> int:
    """Use a ticket up; how many seconds the session lasts, 0 for a ticket that is unknown, old, another workspace's or used.
    The same pair again is no second use: an answer may have been lost."""
    found = tx.session.scalar(
        select(WorkspaceSession).where(WorkspaceSession.ticket_digest == ticket_digest).with_for_update()
    )
    if found is None or found.workload_id != workload_id or found.ticket_until <= tx.now:
        return 0
    if found.session_digest not in (None, session_digest):
        return 0
    found.session_digest = session_digest
    return int((found.session_until - tx.now).total_seconds())


def holder(tx: Tx, workload_id: str, session_digest: str) -> WorkspaceSession | None:
    """The session with this secret, while it lasts."""
    found = tx.session.scalar(select(WorkspaceSession).where(WorkspaceSession.session_digest == session_digest))
    good = found is not None and found.workload_id == workload_id and found.session_until > tx.now
    return found if good else None
