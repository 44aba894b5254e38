"""Distances between sites: what light allows, what is kept, whom to measure next."""

import doctest
from datetime import timedelta
from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database, Tx
from zhisuan.base.errors import InvalidInput
from zhisuan.supply import links
from zhisuan.supply.links import Measured, checked_echo_address, least_round_trip_us
from zhisuan.supply.tables import Site
from zhisuan.tenancy.tables import Organisation

LATITUDE = st.integers(-90_000_000, 90_000_000)
LONGITUDE = st.integers(-180_000_000, 180_000_000)
BEIJING, SHANGHAI = (39_904_000, 116_407_000), (31_230_000, 121_474_000)


def test_the_example_in_the_docstring() -> None:
    assert doctest.testmod(links).failed == 0


@given(LATITUDE, LONGITUDE, LATITUDE, LONGITUDE)
def test_the_bound_is_the_same_both_ways_and_never_beyond_half_the_earth(a: int, b: int, c: int, d: int) -> None:
    there, back = least_round_trip_us(a, b, c, d), least_round_trip_us(c, d, a, b)
    assert abs(there - back) <= 1
    assert 0 <= there <= 133_600 * 98 // 100 + 1


@given(LATITUDE, LATITUDE, LONGITUDE)
def test_along_a_meridian_the_bound_is_the_difference_of_the_latitudes(a: int, c: int, longitude: int) -> None:
    """Independent of the haversine: an arc of a great circle is its angle times the radius."""
    getcontext().prec = 40
    pi = Decimal("3.14159265358979323846264338327950288")
    arc_km = Decimal(abs(a - c)) / 10**6 * pi / 180 * 6371
    expected = 2 * arc_km / Decimal("0.299792458") * Decimal("0.98")
    assert abs(least_round_trip_us(a, longitude, c, longitude) - expected) <= 2


@pytest.mark.parametrize("text", ["gw.example.com:443", "203.0.113.7:22", "[2001:db8::1]:443", " gw:1 "])
def test_addresses_that_can_be_measured(text: str) -> None:
    assert checked_echo_address(text) == text.strip()


@pytest.mark.parametrize("text", ["gw.example.com", "http://gw:80", "gw:0", "gw:65536", "a b:1", ":443", "gw:443/x", "用户:80"])
def test_addresses_that_cannot(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_echo_address(text)
    assert caught.value.problems[0].where == "echo_address"


def test_an_empty_address_takes_it_away() -> None:
    assert checked_echo_address("  ") is None


def site(tx: Tx, name: str, place: tuple[int, int] | None, *, state: str = "open", echo: str | None = "gw:443") -> Site:
    if tx.session.get(Organisation, "org_p") is None:
        tx.session.add(Organisation(id="org_p", kind="provider", name="提供方", region=None, created_at=tx.now))
        tx.session.flush()
    made = Site(
        id=f"site_{name}", provider_id="org_p", name=name, state=state, region="CN-AH", pue_milli=1300, engine={},
        credential_digest=None, agent_boot=None, created_at=tx.now, joined_at=None, last_seen_at=None, clock_offset_ms=None,
        latitude_e6=place and place[0], longitude_e6=place and place[1], echo_address=echo,
    )  # fmt: skip
    tx.session.add(made)
    tx.session.flush()
    return made


def measured(to: Site, tx: Tx, us: int | None, *, ago: int = 0) -> Measured:
    return Measured(to.id, tx.now - timedelta(seconds=ago), 5, 5 if us else 0, us, us, None if us else "no answer")


def test_what_beats_light_is_kept_as_refused(database: Database) -> None:
    with database.begin() as tx:
        here, there = site(tx, "北京", BEIJING), site(tx, "上海", SHANGHAI)
        bound = links.bound_us(here, there)
        assert bound is not None
        for us, refused in ((bound + 1, False), (bound, False), (bound - 1, True)):
            assert links.take_links(tx, here, [measured(there, tx, us)]) == 1
            [(row, name)] = links.links_of(tx, here.id)
            assert (row.refused, row.bound_us, row.median_us, name) == (refused, bound, us, "上海")


def test_without_places_nothing_is_judged(database: Database) -> None:
    with database.begin() as tx:
        here, there = site(tx, "a", BEIJING), site(tx, "b", None)
        links.take_links(tx, here, [measured(there, tx, 1)])
        [(row, _)] = links.links_of(tx, there.id)
        assert row.bound_us is None and not row.refused


def test_an_older_report_that_comes_late_changes_nothing(database: Database) -> None:
    with database.begin() as tx:
        here, there = site(tx, "a", None), site(tx, "b", None)
        links.take_links(tx, here, [measured(there, tx, 900), measured(there, tx, 800, ago=60)])
        links.take_links(tx, here, [measured(there, tx, 700, ago=30)])
        assert [row.median_us for row, _ in links.links_of(tx, here.id)] == [900]


def test_reports_of_nobody_of_oneself_and_of_closed_sites_are_dropped(database: Database) -> None:
    with database.begin() as tx:
        here, gone = site(tx, "a", None), site(tx, "b", None, state="closed")
        unknown = Measured("site_no", tx.now, 5, 5, 1, 1, None)
        assert links.take_links(tx, here, [measured(here, tx, 5), measured(gone, tx, 5), unknown]) == 0
        assert links.links_of(tx, here.id) == []


def test_those_measured_longest_ago_come_next(database: Database, clock: ManualClock) -> None:
    with database.begin() as tx:
        here = site(tx, "here", None)
        others = [site(tx, f"s{n}", None) for n in range(4)]
        site(tx, "mute", None, echo=None)
        site(tx, "joining", None, state="joining")
        assert links.peers_of(tx, here, 10) == others
        links.take_links(tx, here, [measured(others[0], tx, 5), measured(others[2], tx, 5, ago=9)])
        assert links.peers_of(tx, here, 3) == [others[1], others[3], others[2]]
