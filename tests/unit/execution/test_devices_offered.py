"""What a device's health does to placement: a card that is broken or taken is waited for, and never handed out."""

from dataclasses import replace

import pytest
from execution_world import ENGINE, new_workload, node, open_site, place_one, plan_for, provider, spec
from sqlalchemy import select

from zhisuan.base.db import Database
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Device, Site
from zhisuan.workload.tables import Workload


def told(database: Database, site_id: str, health: str) -> None:
    """The site's report with its first card in ``health``."""
    found = node("a", cards=2)
    devices = tuple(replace(d, health=health, note="why") if d.key == "gpu0" else d for d in found.devices)
    with database.begin() as tx:
        site = tx.session.get_one(Site, site_id)
        supply.take_inventory(tx, site, ENGINE, [replace(found, devices=devices)])


@pytest.mark.parametrize("health", ["occupied", "failed"])
def test_a_card_that_is_not_to_be_had_is_waited_for(database: Database, health: str) -> None:
    site_id = open_site(database, provider(database), [node("a", cards=2)])
    told(database, site_id, health)
    with database.begin() as tx:
        both, one = plan_for(tx, spec(cards=2)), plan_for(tx, spec(cards=1))
        gpu0 = tx.session.scalars(select(Device).where(Device.key == "gpu0")).one()
        assert (gpu0.health, gpu0.note, gpu0.capacity, gpu0.reported_capacity) == (health, "why", 1000, 1000)
        waiting = new_workload(tx, spec(cards=2)).id
    assert (both.candidates, both.could_ever_fit) == ((), True)
    assert [(r.constraint, r.permanent) for r in both.rejections] == [("accelerator_free", False)]
    assert len(one.candidates) == 1
    placed = place_one(database, waiting)
    assert placed is not None and placed.lease is None
    told(database, site_id, "ok")
    placed = place_one(database, waiting)
    assert placed is not None and placed.lease is not None
    with database.begin() as tx:
        assert tx.session.get_one(Workload, waiting).state == "placed"


@pytest.mark.parametrize("health", ["ok", "degraded", "unknown"])
def test_a_card_with_a_blemish_still_works(database: Database, health: str) -> None:
    site_id = open_site(database, provider(database), [node("a", cards=2)])
    told(database, site_id, health)
    with database.begin() as tx:
        assert len(plan_for(tx, spec(cards=2)).candidates) == 1
