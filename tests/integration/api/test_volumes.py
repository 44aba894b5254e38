"""Uploads in parts, volumes, quotas and collecting over the real API and a real PostgreSQL."""

import hashlib
import threading
from typing import Any

import pytest
from api_world import Person, World
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from zhisuan.data import content
from zhisuan.data.tables import Content


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(path: str, data: bytes, mode: int = 0o644) -> dict[str, Any]:
    return {"path": path, "mode": mode, "size_bytes": len(data), "sha256": digest_of(data)}


def bring(owner: Person, data: bytes) -> str:
    answer = owner.call("PUT", f"/content/{digest_of(data)}", content=data)
    assert answer.status_code == 200 and answer.json()["complete"], answer.text
    return digest_of(data)


def filled(owner: Person, name: str, files: dict[str, bytes]) -> dict[str, Any]:
    """A volume with a first version of these files."""
    owner.post("/volumes", {"name": name})
    for data in files.values():
        bring(owner, data)
    return owner.post(f"/volumes/{name}/versions", {"base": 0, "put": [entry(p, d) for p, d in files.items()]})  # type: ignore[no-any-return]


def test_a_file_sent_in_parts_is_whole_and_checked(world: World) -> None:
    owner = world.tenant()
    data = bytes(range(256)) * 40
    begun = owner.post("/uploads", {"sha256": digest_of(data), "size_bytes": len(data)})
    assert (begun["offset"], begun["complete"]) == (0, False)
    where = f"/uploads/{begun['id']}/bytes"
    first = owner.call("PUT", where, params={"offset": 0}, content=data[:1000]).json()
    assert first["offset"] == 1000
    again = owner.call("PUT", where, params={"offset": 0}, content=data[:1000]).json()
    assert again["offset"] == 1000, "a part that came before changes nothing"
    gap = owner.call("PUT", where, params={"offset": 2000}, content=data[2000:]).json()
    assert gap["offset"] == 1000, "a part beyond a gap changes nothing"
    assert owner.post("/uploads", {"sha256": digest_of(data), "size_bytes": len(data)})["offset"] == 1000
    assert owner.call("PUT", where, params={"offset": 1000}, content=data[1000:]).json()["complete"]
    assert owner.post("/uploads", {"sha256": digest_of(data), "size_bytes": len(data)})["complete"]
    assert b"".join(world.platform.store.chunks(digest_of(data))) == data
    assert world.platform.store.uploads() == [], "parts are cleared away"


@settings(max_examples=15, phases=[Phase.generate])
@given(st.binary(min_size=8, max_size=64), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)), max_size=8), st.integers())
def test_an_upload_goes_on_at_any_byte(city: Any, data: bytes, cuts: list[tuple[int, int]], salt: int) -> None:
    """Cut anywhere, with parts that came before sent again from anywhere: what is kept is what was sent."""
    owner, store, data = city.one.owner, city.world.platform.store, data + str(salt).encode()
    digest, size = digest_of(data), len(data)
    for back, length in [*cuts, (0, size)]:
        now = owner.post("/uploads", {"sha256": digest, "size_bytes": size})
        if now["complete"]:
            break
        for at in sorted({max(0, now["offset"] - back), now["offset"]}):
            answer = owner.call("PUT", f"/uploads/{now['id']}/bytes", params={"offset": at}, content=data[at : now["offset"] + length])
            expected = min(size, now["offset"] + length)
            assert answer.json()["offset"] == (expected if at == now["offset"] else now["offset"])
    assert owner.post("/uploads", {"sha256": digest, "size_bytes": size})["complete"]
    assert b"".join(store.chunks(digest)) == data


def test_other_bytes_than_announced_are_refused_and_leave_nothing(world: World) -> None:
    owner = world.tenant()
    wanted = digest_of(b"right")
    begun = owner.post("/uploads", {"sha256": wanted, "size_bytes": 5})
    wrong = owner.call("PUT", f"/uploads/{begun['id']}/bytes", params={"offset": 0}, content=b"wrong")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest_mismatch")
    assert owner.call("PUT", f"/content/{wanted}", content=b"wrong").json()["code"] == "digest_mismatch"
    assert not world.platform.store.has(wanted) and world.platform.store.uploads() == []
    assert owner.post("/uploads", {"sha256": wanted, "size_bytes": 5})["offset"] == 0
    more = owner.post("/uploads", {"sha256": wanted, "size_bytes": 5})
    over = owner.call("PUT", f"/uploads/{more['id']}/bytes", params={"offset": 0}, content=b"right and more")
    assert (over.status_code, over.json()["code"]) == (422, "size_mismatch")
    assert owner.get("/data-use")["bytes_used"] == 0


def test_nobody_names_bytes_by_their_digest_alone(world: World) -> None:
    """Another organisation's content is neither 'already there' nor committed, though its digest is known."""
    one, two = world.tenant(), world.tenant()
    bring(one, b"secret")
    assert two.post("/content/missing", {"digests": [digest_of(b"secret")]})["missing"] == [digest_of(b"secret")]
    assert two.post("/uploads", {"sha256": digest_of(b"secret"), "size_bytes": 6})["complete"] is False
    two.post("/volumes", {"name": "mine"})
    body = {"base": 0, "put": [entry("a", b"secret")]}
    refused = two.call("POST", "/volumes/mine/versions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "content_missing")
    assert refused.json()["extra"]["missing"] == [digest_of(b"secret")]
    assert two.get("/volumes/mine/versions")["items"] == []


def test_versions_share_files_and_the_tree_can_be_walked(world: World) -> None:
    owner = world.tenant()
    first = filled(owner, "老数据", {"a.txt": b"A", "图/1.png": b"one", "图/2.png": b"two", "图/深/3": b"three"})
    assert (first["number"], first["file_count"], first["size_bytes"]) == (1, 4, 12)
    bring(owner, b"B")
    change = {"base": 1, "put": [entry("b.sh", b"B", 0o755)], "remove": ["图/深", "a.txt"], "note": "整理"}
    second = owner.post("/volumes/老数据/versions", change)
    assert (second["number"], second["parent_number"], second["file_count"]) == (2, 1, 3)
    assert owner.get("/data-use")["bytes_used"] == 13
    top = owner.get("/volumes/老数据/folder")["items"]
    assert [(e["name"], e["is_folder"], e["file_count"], e["size_bytes"]) for e in top] == [("b.sh", False, 1, 1), ("图", True, 2, 6)]
    old = owner.get("/volumes/老数据/folder", params={"version": 1, "path": "图"})["items"]
    assert [(e["name"], e["is_folder"]) for e in old] == [("1.png", False), ("2.png", False), ("深", True)]
    pages = []
    cursor = None
    while True:
        page = owner.get("/volumes/老数据/files", params={"version": 1, "limit": 1, **({"cursor": cursor} if cursor else {})})
        pages += [f["path"] for f in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == ["a.txt", "图/1.png", "图/2.png", "图/深/3"]
    assert owner.call("GET", "/volumes/老数据/content", params={"path": "b.sh"}).content == b"B"
    assert owner.call("GET", "/volumes/老数据/content", params={"path": "a.txt"}).status_code == 404
    same = owner.post("/volumes/老数据/versions", {"base": 2, "put": [entry("b.sh", b"B", 0o755)]})
    assert same["number"] == 2, "a change that changes nothing makes no version"
    owner.post("/volumes/老数据/current", {"number": 1})
    assert owner.get("/volumes/老数据")["current"]["number"] == 1


def test_a_commit_on_a_version_that_is_not_current_is_refused(world: World) -> None:
    owner = world.tenant()
    filled(owner, "v", {"a": b"1"})
    bring(owner, b"2")
    owner.post("/volumes/v/versions", {"base": 1, "put": [entry("a", b"2")]})
    late = owner.call("POST", "/volumes/v/versions", json={"base": 1, "put": [entry("b", b"2")]})
    assert (late.status_code, late.json()["code"], late.json()["extra"]) == (409, "volume_moved", {"current": 2})


def test_two_commits_at_once_make_one_version_and_one_refusal(world: World) -> None:
    owner = world.tenant()
    filled(owner, "v", {"a": b"1"})
    bring(owner, b"2")
    statuses: list[int] = []

    def go(path: str) -> None:
        body = {"base": 1, "put": [entry(path, b"2")]}
        statuses.append(owner.call("POST", "/volumes/v/versions", json=body).status_code)

    threads = [threading.Thread(target=go, args=(p,)) for p in ("x", "y", "z")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(statuses) == [201, 409, 409]
    assert owner.get("/volumes/v")["last_number"] == 2


def test_the_quota_is_exact_and_its_refusal_says_the_figures(world: World) -> None:
    owner = world.tenant()
    path = f"/organisations/{owner.org_id}/data-quota"
    assert world.operator.call("PUT", path, json={"bytes_max": 10}).json() == {"bytes_used": 0, "bytes_max": 10}
    bring(owner, b"12345678")
    bring(owner, b"12345678")
    for refused in (
        owner.call("PUT", f"/content/{digest_of(b'abc')}", content=b"abc"),
        owner.call("POST", "/uploads", json={"sha256": digest_of(b"abc"), "size_bytes": 3}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (413, "data_quota")
        assert refused.json()["extra"] == {"bytes_used": 8, "bytes_max": 10, "bytes_wanted": 3}
    bring(owner, b"ab")
    assert owner.get("/data-use") == {"bytes_used": 10, "bytes_max": 10}
    assert owner.call("PUT", path, json={"bytes_max": 99}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({}, 200, b"0123456789"),
        ({"Range": "bytes=4-"}, 206, b"456789"),
        ({"Range": "bytes=4-6", "If-Match": "$etag"}, 206, b"456"),
        ({"Range": "bytes=-3"}, 206, b"789"),
        ({"Range": "bytes=0-99"}, 200, b"0123456789"),
        ({"Range": "bytes=4-", "If-Range": '"other"'}, 200, b"0123456789"),
        ({"Range": "bytes=10-"}, 422, None),
        ({"Range": "lines=1-2"}, 200, b"0123456789"),
        ({"If-Match": '"other"'}, 409, None),
    ],
)
def test_downloads_go_on_where_they_were_cut(world: World, headers: dict[str, str], status: int, body: bytes | None) -> None:
    owner = world.tenant()
    data = b"0123456789"
    filled(owner, "v", {"f": data})
    sent = {k: v.replace("$etag", f'"{digest_of(data)}"') for k, v in headers.items()}
    answer = owner.call("GET", "/volumes/v/content", params={"path": "f"}, headers=sent)
    assert answer.status_code == status
    if body is not None:
        assert answer.content == body and answer.headers["etag"] == f'"{digest_of(data)}"'
        assert ("content-range" in answer.headers) == (status == 206)


def test_deleting_frees_the_name_keeps_the_reason_and_later_the_room(world: World) -> None:
    owner = world.tenant()
    filled(owner, "v", {"a": b"old", "b": b"shared"})
    filled(owner, "w", {"b": b"shared"})
    owner.post("/volumes/v/delete", {"reason": "客户要求"})
    assert owner.call("GET", "/volumes/v").status_code == 404
    assert [(v["name"], v["delete_reason"]) for v in owner.get("/volumes", params={"deleted": "true"})["items"]] == [("v", "客户要求")]
    world.reconcile("collect")
    assert world.platform.store.has(digest_of(b"old")), "kept for some days"
    filled(owner, "v", {"c": b"new"})
    world.pass_time(8 * 86400)
    world.reconcile("collect")
    assert not world.platform.store.has(digest_of(b"old"))
    assert world.platform.store.has(digest_of(b"shared")) and world.platform.store.has(digest_of(b"new"))
    assert owner.get("/data-use")["bytes_used"] == len(b"shared") + len(b"new")


def test_what_was_never_committed_goes_and_what_others_have_stays(world: World) -> None:
    one, two = world.tenant(), world.tenant()
    for owner in (one, two):
        bring(owner, b"both")
    filled(two, "keep", {"x": b"both"})
    archive = one.post("/blobs", content=b"an archive")
    bring(one, b"an archive")
    begun = one.post("/uploads", {"sha256": digest_of(b"half"), "size_bytes": 4})
    one.call("PUT", f"/uploads/{begun['id']}/bytes", params={"offset": 0}, content=b"ha")
    world.reconcile("collect")
    assert one.get("/data-use")["bytes_used"] == 14, "kept for a day"
    world.pass_time(25 * 3600)
    world.reconcile("collect")
    assert one.get("/data-use")["bytes_used"] == 0
    store = world.platform.store
    assert store.has(digest_of(b"both")), "the other organisation has it"
    assert store.has(archive["sha256"]), "an archive of a launch has it"
    assert store.uploads() == []
    assert one.call("GET", f"/uploads/{begun['id']}").status_code == 404


@settings(max_examples=6, phases=[Phase.generate])
@given(st.data())
def test_collecting_never_takes_what_a_version_names(city: Any, draw: st.DataObject) -> None:
    """Uploads, commits and collecting in any order and at once: every file of every version can be read."""
    world: World = city.world
    owner = world.tenant(None)
    owner.post("/volumes", {"name": "v"})
    number = 0
    for step in draw.draw(st.lists(st.sampled_from(["bring", "commit", "wait", "collect", "both"]), min_size=4, max_size=12)):
        data = b"content %d" % draw.draw(st.integers(0, 3))
        if step == "bring":
            bring(owner, data)
        elif step == "wait":
            world.pass_time(26 * 3600)
        elif step == "collect":
            world.reconcile("collect")
        else:
            racing = threading.Thread(target=world.reconcile, args=("collect",))
            if step == "both":
                racing.start()
            answer = owner.call("POST", "/volumes/v/versions", json={"base": number, "put": [entry(f"f{len(data)}{data[-1]}", data)]})
            if step == "both":
                racing.join()
            number = answer.json()["number"] if answer.status_code == 201 else number
    world.reconcile("collect")
    for at in range(1, number + 1):
        for file in owner.get("/volumes/v/files", params={"version": at})["items"]:
            assert digest_of(b"".join(world.platform.store.chunks(file["sha256"]))) == file["sha256"]


def test_bytes_that_are_taken_away_at_the_same_moment_are_asked_for_again(world: World) -> None:
    """The row is only written where the bytes are seen under the lock."""
    owner = world.tenant()
    bring(owner, b"gone")
    world.platform.store.remove(digest_of(b"gone"))
    with world.database.begin() as tx:
        tx.session.delete(tx.session.get_one(Content, (owner.org_id, digest_of(b"gone"))))
    with pytest.raises(Exception, match="cleared away"), world.database.begin() as tx:
        content.add(tx, world.platform.store, owner.org_id, {digest_of(b"gone"): 4}, 100)
    with world.database.begin() as tx:
        assert tx.session.get(Content, (owner.org_id, digest_of(b"gone"))) is None


def test_names_and_numbers_that_cannot_be(world: World) -> None:
    owner = world.tenant()
    for name in ("", " a", "a/b", "x" * 64, "-a"):
        assert owner.call("POST", "/volumes", json={"name": name}).status_code == 422, name
    owner.post("/volumes", {"name": "a"})
    assert owner.call("POST", "/volumes", json={"name": "a"}).json()["code"] == "name_taken"
    assert owner.call("GET", "/volumes/a/files").json()["code"] == "volume_empty"
    assert owner.call("POST", "/volumes/a/current", json={"number": 3}).status_code == 404
    bad = {"base": 0, "put": [{"path": "../x", "size_bytes": 1, "sha256": "zz"}]}
    assert "put.0" in owner.call("POST", "/volumes/a/versions", json=bad).text
    assert owner.get("/volumes/a/versions")["items"] == []
