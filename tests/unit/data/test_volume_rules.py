"""Trees of files: what a change makes of them, against a plain dictionary; digests; paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.errors import InvalidInput
from zhisuan.base.trees import File, manifest_digest
from zhisuan.data.rules import Change, apply, check_change, difference, path_problem

NAMES = st.sampled_from(["a", "b", "数据", "c.txt", "深"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
FILES = st.builds(
    File, path=PATHS, mode=st.sampled_from([0o644, 0o755]), size_bytes=st.integers(0, 9),
    sha256=st.integers(0, 5).map(lambda n: f"{n:064x}"),
)  # fmt: skip


def clash(paths: set[str]) -> bool:
    return any(one != other and other.startswith(one + "/") for one in paths for other in paths)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, File]:
    tree: dict[str, File] = {}
    for file in draw(st.lists(FILES, max_size=6)):
        if not clash({*tree, file.path}):
            tree[file.path] = file
    return tree


@given(trees(), st.lists(FILES, max_size=4), st.lists(PATHS, max_size=3))
def test_a_change_makes_what_removing_and_putting_by_hand_makes(
    base: dict[str, File], put: list[File], remove: list[str]
) -> None:
    wanted = {p: f for p, f in base.items() if not any(p == r or p.startswith(r + "/") for r in remove)}
    wanted |= {f.path: f for f in put}
    if clash(set(wanted)):
        with pytest.raises(InvalidInput):
            apply(base, Change(tuple(put), tuple(remove)))
        return
    made = apply(base, Change(tuple(put), tuple(remove)))
    assert made == wanted
    assert [p.encode() for p in made] == sorted(p.encode() for p in made)


@given(trees(), trees())
def test_the_difference_of_two_trees_leads_from_one_to_the_other(one: dict[str, File], two: dict[str, File]) -> None:
    change = difference(one, two)
    check_change(change)
    assert apply(one, change) == two
    assert difference(two, two) == Change()


@given(trees(), trees(), st.randoms())
def test_a_tree_is_known_by_its_digest_in_whatever_order_it_comes(one: dict[str, File], two: dict[str, File], chance) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(one.values())
    chance.shuffle(shuffled)
    assert manifest_digest(shuffled) == manifest_digest(one.values())
    assert (manifest_digest(one.values()) == manifest_digest(two.values())) == (one == two)


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", ".", "a/./b", "../a", "a/..", "a\nb", "a\x00b", "\ud800", "x" * 256, "/".join("a" * 65)]
)
def test_paths_that_lead_out_or_hide_are_refused(path: str) -> None:
    assert path_problem(path) is not None
    with pytest.raises(InvalidInput):
        check_change(Change((File(path, 0o644, 1, "0" * 64),)))


@pytest.mark.parametrize("path", ["a", "数据/第 1 章.txt", "...", "a/.b", "x" * 255, "a\\b", "-rf"])
def test_ordinary_paths_are_taken(path: str) -> None:
    assert path_problem(path) is None
