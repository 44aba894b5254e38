"""The form of every message."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Immutable; unknown fields of a newer sender are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class LeaseKey(Message):
    """One generation of one lease: the fencing token of everything said about it."""

    lease_id: str
    generation: int


class Accepted(Message):
    """What the receiver kept and what it had already. ``refused`` names what it will never take (it keeps it aside with
    the reason; the sender drops it); ``retry`` what it cannot judge yet and the sender should send again later."""

    accepted: int
    duplicate: int = 0
    refused: tuple[str, ...] = ()
    retry: tuple[str, ...] = ()
