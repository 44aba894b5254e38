"""Lists: a bounded number of queries whatever their length, and cursors that hold while rows come in."""

from importlib.resources import files
from typing import Any

import pytest
from api_city import City, furnish
from api_world import World, number

from zhisuan.base.db import QueryCount
from zhisuan.catalog.price_file import DEFAULT_FILE

TENANT_LISTS = [
    "/workloads",
    "/models",
    "/deployments",
    "/charges",
    "/invoices",
    "/orders",
    "/keys",
    "/projects",
    "/members",
]
OPERATOR_LISTS = ["/organisations", "/settlements", "/price-books", "/sites", "/invoices", "/workloads", "/charges"]
QUERIES_MAX = 9


def counted(world: World, person: Any, path: str) -> tuple[int, int]:
    """Queries and items of one page."""
    with QueryCount(world.database.engine) as count:
        items = person.get(path)["items"]
    return len(count.statements), len(items)


@pytest.mark.slow
def test_the_number_of_queries_does_not_grow_with_the_list(city: City) -> None:
    world, owner = city.world, city.one.owner
    first = {path: counted(world, owner, path) for path in TENANT_LISTS}
    first |= {f"operator {path}": counted(world, world.operator, path) for path in OPERATOR_LISTS}
    world.top_up(owner, "1000.00")
    for _ in range(4):
        furnish(world, city.site, owner)
        city.site.provider.post("/sites", {"name": f"more {number()}", "region": "CN-AH"})
    grown = 0
    for path, (queries, items) in first.items():
        who, _, rest = path.rpartition(" ")
        now_queries, now_items = counted(world, world.operator if who else owner, rest)
        assert now_queries <= queries <= QUERIES_MAX, (path, queries, now_queries)
        grown += now_items > items
    assert grown >= 12, "the lists did grow"


@pytest.mark.parametrize(
    "path", ["/workloads/$workload", "/invoices/$invoice", "/bill", "/wallet", "/trace/$invoice", "/carbon"]
)
def test_single_pages_take_few_queries(city: City, path: str) -> None:
    kind = path.partition("$")[2]
    with QueryCount(city.world.database.engine) as count:
        city.one.owner.get(path.replace(f"${kind}", city.one.ids.get(kind, "")))
    assert len(count.statements) <= 28, count.statements


def test_a_cursor_holds_while_rows_come_in(world: World) -> None:
    owner = world.tenant(None)
    old = [owner.post("/projects", {"name": f"old {n}"})["id"] for n in range(5)]
    old = [owner.get("/projects?limit=200")["items"][-1]["id"], *old]
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        page = owner.get("/projects?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += [p["id"] for p in page["items"]]
        owner.post("/projects", {"name": f"new {pages}"})
        pages += 1
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert seen == old[::-1] and pages == 3


def test_price_books_go_on_from_a_version(world: World) -> None:
    prices = files("zhisuan.catalog").joinpath(DEFAULT_FILE).read_text(encoding="utf-8")
    for _ in range(3):
        world.operator.post("/price-books", {"yaml": prices})
    first = world.operator.get("/price-books?limit=2")
    assert [b["version"] for b in first["items"]] == [4, 3] and first["next_cursor"] == "3"
    assert [b["version"] for b in world.operator.get("/price-books?limit=2&before=3")["items"]] == [2, 1]
