"""What a site should hold, as its agent is told it."""

import hashlib
from dataclasses import dataclass

import orjson
from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.execution.tables import Lease

REMEMBERED_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Desired:
    """All leases a site should hold, and a version that changes exactly when they do. ``offers``: each the JSON of a
    ``LeaseOffer``."""

    version: str
    offers: tuple[bytes, ...]


class Offers:
    """Offers as they are sent, by lease. One never changes while what is desired of it does not, so each is read from the database
    once, however often a site with many leases asks."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, str, bytes]] = {}

    def of(self, tx: Tx, leases: list[tuple[str, int, str]]) -> tuple[bytes, ...]:
        """The offers of these leases (id, generation, desired), in this order."""
        known = {lease[0]: offer for lease in leases if (offer := self._known.get(lease[0])) and offer[:2] == lease[1:]}
        missing = [lease for lease in leases if lease[0] not in known]
        if missing:
            query = select(Lease.id, Lease.generation, Lease.desired, Lease.offer).where(Lease.id.in_([m[0] for m in missing]))
            known |= {
                ident: (generation, desired, orjson.dumps({**offer, "desired": desired}))
                for ident, generation, desired, offer in tx.session.execute(query)
            }
            if len(self._known) + len(missing) > REMEMBERED_MAX:
                self._known = {}
            self._known.update(known)
        return tuple(known[ident][2] for ident, _, _ in leases)


def desired_of_site(tx: Tx, site_id: str) -> Desired:
    query = (
        select(Lease.id, Lease.generation, Lease.desired)
        .where(Lease.site_id == site_id, Lease.state != "closed")
        .order_by(Lease.id)
    )
    leases = [(ident, generation, desired) for ident, generation, desired in tx.session.execute(query)]
    text = "|".join(f"{ident}:{generation}:{desired}" for ident, generation, desired in leases)
    return Desired(hashlib.sha256(text.encode()).hexdigest()[:16], tx.memory.of(Offers).of(tx, leases))


def needs_blob(tx: Tx, site_id: str, blob_id: str) -> bool:
    """Whether an open lease of this site begins with this upload."""
    named = Lease.offer.contains({"mounts": [{"blob_id": blob_id}]}) | (Lease.offer["workdir_blob"].as_string() == blob_id)
    query = select(Lease.id).where(Lease.site_id == site_id, Lease.state != "closed", named).limit(1)
    return tx.session.scalar(query) is not None
