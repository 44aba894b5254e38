"""Sites: joining once, what an inventory may say, states, silences."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database, Tx
from zhisuan.base.errors import Conflict, InvalidInput, NotAuthenticated, NotFound
from zhisuan.base.secrets import digest
from zhisuan.supply import service as supply
from zhisuan.supply.inventory import DeviceRecord, EngineRecord, NodeRecord
from zhisuan.supply.tables import Site
from zhisuan.tenancy import service as tenancy

ENGINE = EngineRecord("local", "1", "sandbox", False, {}, ())
TTL = timedelta(seconds=90)


@pytest.fixture
def provider(database: Database) -> str:
    with database.begin() as tx:
        return tenancy.sign_up(
            tx, kind="provider", org_name="P", email="p@x.cn", name="p", password="long enough 1"
        ).org_id


def invite(tx: Tx, provider: str, name: str = "s") -> supply.Invitation:
    return supply.create_site(tx, provider_id=provider, name=name, region="CN-AH", pue_milli=1400)


def device(key: str, capacity: int = 1000) -> DeviceRecord:
    return DeviceRecord(key, "cpu", "cpu-core", "CPU", capacity, None, "ok", None)


def test_a_token_works_once_and_the_same_agent_may_ask_again(database: Database, provider: str) -> None:
    with database.begin() as tx:
        made = invite(tx, provider)
        for _ in range(2):
            assert supply.join(tx, made.token, digest("one")).state == "joining"
        assert supply.site_of_credential(tx, "one").id == made.site.id
        with pytest.raises(NotAuthenticated):
            supply.join(tx, made.token, digest("two"))


def test_a_new_token_takes_the_site_from_the_agent_before(database: Database, provider: str) -> None:
    with database.begin() as tx:
        made = invite(tx, provider)
        supply.join(tx, made.token, digest("one"))
        supply.join(tx, supply.invite_again(tx, made.site).token, digest("two"))
        assert supply.site_of_credential(tx, "two").id == made.site.id
        with pytest.raises(NotAuthenticated):
            supply.site_of_credential(tx, "one")


def test_one_agent_is_one_site(database: Database, provider: str) -> None:
    with database.begin() as tx:
        supply.join(tx, invite(tx, provider).token, digest("one"))
        other = invite(tx, provider, "other")
        with pytest.raises(Conflict) as caught:
            supply.join(tx, other.token, digest("one"))
        assert caught.value.code == "credential_in_use"


@pytest.mark.parametrize("wrong", ["late", "unknown", "closed"])
def test_a_token_that_is_worth_nothing(database: Database, clock: ManualClock, provider: str, wrong: str) -> None:
    with database.begin() as tx:
        made = invite(tx, provider)
        if wrong == "closed":
            supply.change_state(tx, made.site, "close")
    if wrong == "late":
        clock.advance(timedelta(hours=24))
    with database.begin() as tx, pytest.raises(NotAuthenticated):
        supply.join(tx, "zsj_unknown" if wrong == "unknown" else made.token, digest("x"))


@pytest.mark.parametrize(
    ("name", "region", "pue", "where"),
    [
        ("", "CN-AH", 1400, "name"),
        ("s", "CN-XZ", 1400, "region"),
        ("s", "Mars", 1400, "region"),
        ("s", "CN-AH", 999, "pue_milli"),
    ],
)
def test_a_site_is_registered_as_it_can_be_accounted_for(
    database: Database, provider: str, name: str, region: str, pue: int, where: str
) -> None:
    with database.begin() as tx, pytest.raises(InvalidInput) as caught:
        supply.create_site(tx, provider_id=provider, name=name, region=region, pue_milli=pue)
    assert [p.where for p in caught.value.problems] == [where]


def test_an_inventory_that_names_something_twice_changes_nothing(database: Database, provider: str) -> None:
    with database.begin() as tx:
        site = invite(tx, provider).site
        for nodes in (
            [NodeRecord("a", "b", {}, ()), NodeRecord("a", "b", {}, ())],
            [NodeRecord("a", "b", {}, (device("cpu"), device("cpu")))],
        ):
            with pytest.raises(InvalidInput):
                supply.take_inventory(tx, site, ENGINE, nodes)
        assert site.engine == {}


STATES = ["invited", "joining", "verified", "open", "draining", "closed"]
ALLOWED = {
    ("joining", "verify"): "verified", ("verified", "open"): "open", ("draining", "open"): "open", ("open", "drain"): "draining",
    ("invited", "close"): "closed", ("joining", "close"): "closed", ("verified", "close"): "closed", ("draining", "close"): "closed",
}  # fmt: skip


@pytest.mark.parametrize("action", ["verify", "open", "drain", "close"])
@pytest.mark.parametrize("state", STATES)
def test_a_site_goes_only_where_its_life_cycle_goes(database: Database, provider: str, state: str, action: str) -> None:
    with database.begin() as tx:
        site = invite(tx, provider).site
        site.state = state
        after = supply.TRANSITIONS[action][1]
        if state == after or (state, action) in ALLOWED:
            assert supply.change_state(tx, site, action).state == after
        else:
            with pytest.raises(Conflict):
                supply.change_state(tx, site, action)


def test_foreign_and_unknown_sites_are_not_there(database: Database, provider: str) -> None:
    with database.begin() as tx:
        site = invite(tx, provider).site
        assert supply.site_visible(tx, site.id, provider) is supply.site_visible(tx, site.id, None)
        for ident, who in ((site.id, "org_other"), ("site_none", provider)):
            with pytest.raises(NotFound):
                supply.site_visible(tx, ident, who)


def test_being_heard_is_written_now_and_then_and_ends_a_silence(
    database: Database, clock: ManualClock, provider: str
) -> None:
    with database.begin() as tx:
        made = invite(tx, provider)
        site_id = supply.join(tx, made.token, digest("one")).id
    speak: Callable[[Tx], None] = lambda tx: supply.heard_from(  # noqa: E731 - one call with its arguments
        tx,
        tx.session.get_one(Site, site_id),
        agent_boot="b",
        agent_time=tx.now + timedelta(seconds=2),
        every=timedelta(seconds=5),
    )
    for seconds, expected in ((0, 0), (3, 0), (3, 6)):
        now = clock.advance(timedelta(seconds=seconds))
        with database.begin() as tx:
            speak(tx)
        with database.begin() as tx:
            heard = tx.session.get_one(Site, site_id)
            assert heard.last_seen_at is not None and heard.clock_offset_ms == 2000
            assert now - heard.last_seen_at == timedelta(seconds=seconds if expected == 0 and seconds else 0)
    clock.advance(timedelta(seconds=91))
    with database.begin() as tx:
        assert supply.note_silences(tx, TTL) == [site_id]
        assert not supply.is_reachable(tx.session.get_one(Site, site_id), tx.now, TTL)
    with database.begin() as tx:
        assert supply.note_silences(tx, TTL) == [], "it is noted already"
        speak(tx)
        assert supply.is_reachable(tx.session.get_one(Site, site_id), tx.now, TTL)


def test_what_a_process_has_heard_is_written_for_all_sites_at_once(
    database: Database, clock: ManualClock, provider: str
) -> None:
    hearing = supply.Hearing()
    ids = []
    for n in range(3):
        with database.begin() as tx:
            site = supply.join(tx, invite(tx, provider, f"s{n}").token, digest(f"{n}"))
            supply.heard_from(tx, site, agent_boot="b", agent_time=tx.now, every=timedelta(0))
            hearing.learn(site)
            ids.append(site.id)
    assert hearing.due() == {}
    heard = clock.advance(timedelta(seconds=20))
    assert all(hearing.note(i, agent_boot="b", offset_ms=40, now=heard) for i in ids)
    with database.begin() as busy, database.begin() as tx:
        busy.session.get_one(Site, ids[1], with_for_update=True)
        left = supply.write_heard(tx, hearing.due())
    assert left == {ids[1]: heard}, "one that somebody is at is not waited for"
    hearing.put_back(left)
    with database.begin() as tx:
        seen = [tx.session.get_one(Site, i).last_seen_at for i in ids]
        assert [s == heard for s in seen] == [True, False, True]
        assert supply.write_heard(tx, hearing.due()) == {}
        assert hearing.due() == {}


@pytest.mark.parametrize(
    ("boot", "offset_ms", "seconds"), [("other", 0, 1), ("b", 400, 1), ("b", 0, 31), ("b", 0, -1)]
)  # fmt: skip
def test_more_than_a_sign_of_life_is_not_left_for_later(
    database: Database, clock: ManualClock, provider: str, boot: str, offset_ms: int, seconds: int
) -> None:
    """A new agent, another clock, a long silence, and a server clock that went back."""
    hearing = supply.Hearing()
    with database.begin() as tx:
        site = supply.join(tx, invite(tx, provider).token, digest("x"))
        assert not hearing.note(site.id, agent_boot="b", offset_ms=0, now=tx.now), "the first word"
        supply.heard_from(tx, site, agent_boot="b", agent_time=tx.now, every=timedelta(seconds=5))
        hearing.learn(site)
        now = tx.now + timedelta(seconds=seconds)
    assert not hearing.note(site.id, agent_boot=boot, offset_ms=offset_ms, now=now)
    assert hearing.note(site.id, agent_boot="b", offset_ms=100, now=clock.now() + timedelta(seconds=1))
