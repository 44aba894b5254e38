"""Which replica gets a call: each policy's own promise, what a gateway remembers, and what is filtered out before."""

from collections import Counter
from random import Random as Chance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.gateway.routing.affinity import PrefixAffinity, load_bound
from zhisuan.gateway.routing.asks import Ask, prefix_blocks
from zhisuan.gateway.routing.aware import PrefixAware
from zhisuan.gateway.routing.catalogue import POLICIES
from zhisuan.gateway.routing.filters import Offer, Wish, filtered
from zhisuan.gateway.routing.known import Book, Cache, Known, uncached
from zhisuan.gateway.routing.policies import PowerOfTwo, RoundRobin

blocks = st.lists(st.integers(0, 12), max_size=8)


def replicas(book: Book, count: int) -> list[Known]:
    return [book.known((f"r{n:02d}", 1)) for n in range(count)]


def send(book: Book, chosen: Known, *names: int, tokens: int = 0, now: int = 0) -> object:
    return book.sent(chosen.key, Ask(tokens or 512 * len(names), names), now)


@given(
    st.sampled_from(sorted(POLICIES)), st.integers(1, 6), st.lists(st.tuples(blocks, st.booleans()), max_size=40), st.integers(0, 99)
)  # fmt: skip
def test_every_policy_chooses_one_that_may_be_used_and_the_same_one_for_the_same_past(
    name: str, count: int, calls: list[tuple[list[int], bool]], seed: int
) -> None:
    def play() -> list[str]:
        book, policy, chosen = Book(16), POLICIES[name](Chance(seed).random), []
        for number, (names, ends) in enumerate(calls):
            able = replicas(book, count)[number % count :]
            one = policy.choose(Ask(512 * len(names) + 1, tuple(names)), able, number)
            assert one in able
            call = book.sent(one.key, Ask(512 * len(names) + 1, tuple(names)), number)
            if ends:
                book.first_token(one.key, call, number + 1)
                book.ended(one.key, call)
            chosen.append(one.key[0])
        return chosen

    assert play() == play()


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=120), st.integers(1, 7), st.integers(100, 300))
def test_affinity_never_gives_a_replica_more_than_its_share_of_the_load(
    calls: list[tuple[int, bool]], count: int, percent: int
) -> None:
    book, policy, running = Book(), PrefixAffinity(load_percent=percent), []
    for prefix, ends in calls:
        able = replicas(book, count)
        in_flight = sum(one.in_flight for one in able)
        one = policy.choose(Ask(512, (prefix,)), able, 0)
        running.append((one.key, send(book, one, prefix)))
        assert one.in_flight * 100 * count < percent * (in_flight + 1) + 100 * count
        if ends:
            book.ended(*running.pop(0))


@given(st.integers(0, 500), st.integers(1, 40), st.integers(100, 400))
def test_some_replica_is_always_below_the_bound(in_flight: int, count: int, percent: int) -> None:
    assert -(-(in_flight + 1) // count) - 1 < load_bound(in_flight, count, percent)


def test_a_prefix_stays_where_it_is_when_others_come_and_go() -> None:
    policy = PrefixAffinity()
    able = replicas(Book(), 8)
    places = {prefix: policy.choose(Ask(512, (prefix,)), able, 0) for prefix in range(200)}
    assert max(Counter(one.key for one in places.values()).values()) < 50
    gone = able[3]
    for prefix, one in places.items():
        again = policy.choose(Ask(512, (prefix,)), [other for other in able if other is not gone], 0)
        assert again is one or one is gone


def test_round_robin_takes_the_next_also_when_some_are_missing() -> None:
    able, policy = replicas(Book(), 4), RoundRobin()
    order = [policy.choose(Ask(), able, 0).key[0] for _ in range(5)]
    assert order == ["r00", "r01", "r02", "r03", "r00"]
    assert [policy.choose(Ask(), able[2:], 0).key[0] for _ in range(3)] == ["r02", "r03", "r02"]


def test_two_choices_never_take_the_busiest_of_all() -> None:
    book = Book()
    able = replicas(book, 3)
    for _ in range(5):
        send(book, able[1], 1)
    policy = PowerOfTwo(Chance(1).random)
    assert {policy.choose(Ask(), able, 0).key[0] for _ in range(100)} == {"r00", "r02"}


def test_ours_goes_where_the_prefix_was_read_until_waiting_there_costs_more_than_reading_it_again() -> None:
    book, policy = Book(100), PrefixAware()
    able = replicas(book, 2)
    ask = Ask(5 * 512 + 1, (1, 2, 3, 4, 5))
    book.ended(able[1].key, call := book.sent(able[1].key, ask, 0))
    assert policy.choose(ask, able, 0) is able[1]
    assert policy.choose(Ask(512, (9,)), able, 0) is able[0]
    book.sent(able[1].key, Ask(20 * 512, ()), 0)
    assert policy.choose(ask, able, 0) is able[0]
    assert call.matched == 0


def test_ours_copies_a_popular_prefix_once_waiting_for_it_has_cost_as_much_as_the_copy() -> None:
    book, policy = Book(1_000), PrefixAware(running_us=0)
    able = replicas(book, 2)
    popular = tuple(range(20))
    first = book.sent(able[0].key, Ask(20 * 512, popular), 0)
    book.first_token(able[0].key, first, 614_400)
    served = Counter[str]()
    for number in range(40):
        now = 1_000_000 * (number + 1)
        book.sent(able[0].key, Ask(2_000, ()), now)
        one = policy.choose(ask := Ask(20 * 512 + 100, (*popular, 100 + number)), able, now)
        served[one.key[0]] += 1
        call = book.sent(one.key, ask, now)
        for waiting in list(able[0].waiting.values()):
            book.first_token(able[0].key, waiting, now + 1)
        book.first_token(one.key, call, now + 1)
    assert served["r01"] >= 30
    assert served["r00"] >= 2


@given(st.integers(0, 10), st.lists(blocks, max_size=30), blocks)
def test_the_cache_that_is_remembered_is_the_most_recent_blocks_and_within_its_bound(
    size: int, sent: list[list[int]], asked: list[int]
) -> None:
    cache, plain = Cache(size), list[int]()
    for names in sent:
        cache.add(names)
        for name in reversed(names[:size]):
            plain = [one for one in plain if one != name] + [name]
        plain = plain[len(plain) - size :] if len(plain) > size else plain
    assert len(cache) == len(plain) <= size
    leading = next((count for count, name in enumerate(asked) if name not in plain), len(asked))
    assert cache.matched(asked) == leading


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5_000), st.integers(0, 3)), max_size=40))
def test_what_is_unread_and_in_flight_is_what_was_sent_and_has_not_come_back(
    calls: list[tuple[int, int, int]],
) -> None:
    book = Book(50)
    open_calls = []
    for now, (at, tokens, fate) in enumerate(calls):
        key = (f"r{at:02d}", 1)
        call = book.sent(key, Ask(tokens, (tokens,)), now)
        if fate:
            book.first_token(key, call, now + 5)
            book.first_token(key, call, now + 6)
        if fate == 3:
            book.ended(key, call)
        else:
            open_calls.append((key, call, fate == 0))
    for key, known in book.replicas.items():
        mine = [(call, unread) for of, call, unread in open_calls if of == key]
        assert known.in_flight == len(mine)
        assert known.unread == sum(call.unread for call, unread in mine if unread)
        assert known.backlog_us(10_000) >= 0
    book.forget_all_but(())
    assert set(book.replicas) == {key for key, _, _ in open_calls}


def test_the_last_token_is_always_read() -> None:
    assert uncached(Ask(1_024, (1, 2)), 2) == 1
    assert uncached(Ask(1_024, (1, 2)), 1) == 512
    assert uncached(Ask(700), 0) == 700


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(1, 40))
def test_prefixes_have_one_name_as_far_as_the_text_is_the_same(one: bytes, two: bytes, size: int) -> None:
    first, second = (prefix_blocks(text, size, owner="org_a") for text in (one, two))
    same = 0
    while same < min(len(one), len(two)) and one[same] == two[same]:
        same += 1
    leading = 0
    while leading < min(len(first), len(second)) and first[leading] == second[leading]:
        leading += 1
    assert leading == same // size and len(first) == len(one) // size
    assert not set(first) & set(prefix_blocks(one, size, owner="org_b"))


def test_filters_refuse_by_the_first_reason_and_count_it() -> None:
    key = ("r00", 1)
    far, dear, dirty = (
        Offer(key, region="hami"),
        Offer(key, "huangshan", output_ucny=9),
        Offer(key, "huangshan", carbon_g=900),
    )
    unknown, full, fine = (
        Offer(key, "huangshan"),
        Offer(("r01", 1), "huangshan", carbon_g=100, calls_max=3),
        Offer(("r02", 1), "huangshan", 5, 8, 100, 4),
    )
    wish = Wish(frozenset({"huangshan"}), input_ucny_max=5, output_ucny_max=8, carbon_g_max=500)
    found = filtered(wish, [far, dear, dirty, unknown, full, fine], {("r01", 1): 3, ("r02", 1): 3})
    assert found.able == (fine,)
    assert found.refused == {"residency": 1, "price": 1, "carbon": 2, "capacity": 1}
    assert filtered(Wish(), [far, dear, dirty, unknown], {}).refused == {}


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_can_do_with_one_replica(name: str) -> None:
    able = replicas(Book(8), 1)
    assert POLICIES[name](Chance(1).random).choose(Ask(10, ()), able, 0) is able[0]
