"""Many small files in one call, over the real API, and what may never come of wrong or racing parts."""

import hashlib
import os
import threading
from typing import Any

import pytest
from api_world import Person, World

from zhisuan.base.packs import PACK_BYTES, head
from zhisuan.data.uploads import Digests


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pack(*files: bytes) -> bytes:
    return b"".join(head(digest_of(data), len(data)) + data for data in files)


def entries(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return [{"path": p, "size_bytes": len(d), "sha256": digest_of(d)} for p, d in files.items()]


def sent(owner: Person, body: bytes) -> Any:
    return owner.call("POST", "/content/pack", content=body)


def test_a_pack_is_kept_counted_once_and_comes_back_as_a_pack(world: World) -> None:
    owner = world.tenant()
    files = {f"{n}": b"%d" % n * n for n in range(120)} | {"again": b"7" * 7}
    for _ in range(2):
        assert sent(owner, pack(*dict.fromkeys(files.values()))).json() == {"files": 120}
    assert owner.get("/data-use")["bytes_used"] == sum(len(d) for d in set(files.values()))
    owner.post("/volumes", {"name": "v"})
    owner.post("/volumes/v/versions", {"base": 0, "put": entries(files)})
    back = owner.call("POST", "/volumes/v/pack", json={"digests": [digest_of(d) for d in files.values()]})
    assert back.content == b"".join(files.values())
    assert back.headers["content-length"] == str(len(back.content))
    none = owner.call("POST", "/volumes/v/pack", json={"digests": [digest_of(b"other")]})
    assert none.status_code == 404
    foreign = world.tenant().call("POST", "/volumes/v/pack", json={"digests": [digest_of(b"1")]})
    assert foreign.status_code == 404


def test_the_good_files_of_a_damaged_pack_are_kept_and_the_others_named(world: World) -> None:
    owner = world.tenant()
    body = pack(b"one") + head(digest_of(b"two"), 3) + b"tow" + pack(b"three")
    refused = sent(owner, body)
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert digest_of(b"two") in refused.text and digest_of(b"one") not in refused.text
    asked = [digest_of(d) for d in (b"one", b"two", b"three", b"tow")]
    assert owner.post("/content/missing", {"digests": asked})["missing"] == [asked[1], asked[3]]
    cut = sent(owner, pack(b"four") + pack(b"five five")[:-2])
    assert (cut.status_code, cut.json()["code"]) == (422, "damaged_pack")
    assert owner.post("/content/missing", {"digests": [digest_of(b"four")]})["missing"] == []
    assert sent(owner, b"nothing of the kind").json()["code"] == "damaged_pack"
    assert sent(owner, b"").json() == {"files": 0}


def test_a_pack_beyond_the_quota_or_its_size_leaves_nothing(world: World) -> None:
    owner = world.tenant()
    world.operator.call("PUT", f"/organisations/{owner.org_id}/data-quota", json={"bytes_max": 10})
    assert sent(owner, pack(b"12345678")).status_code == 200
    refused = sent(owner, pack(b"12345678", b"ab", b"c"))
    assert (refused.status_code, refused.json()["code"]) == (413, "data_quota")
    assert refused.json()["extra"] == {"bytes_used": 8, "bytes_max": 10, "bytes_wanted": 3}
    assert owner.get("/data-use")["bytes_used"] == 8
    assert sent(owner, pack(b"12345678", b"ab")).status_code == 200, "what is there already takes no room"
    world.operator.call("PUT", f"/organisations/{owner.org_id}/data-quota", json={"bytes_max": None})
    assert sent(owner, pack(os.urandom(PACK_BYTES + 100_000))).json()["code"] == "too_large"


def test_packs_with_the_same_files_at_once_count_each_once(world: World) -> None:
    owner = world.tenant()
    files = [b"shared %d" % n for n in range(60)]
    answers: list[int] = []

    def go(turn: int) -> None:
        answers.append(sent(owner, pack(*files[turn:], *files[:turn], b"own %d" % turn)).status_code)

    threads = [threading.Thread(target=go, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == [200] * 6
    assert owner.get("/data-use")["bytes_used"] == sum(map(len, files)) + 6 * len(b"own 0")


@pytest.mark.parametrize("forgets", [False, True])
def test_the_last_part_alone_never_passes_for_the_whole_file(world: World, forgets: bool) -> None:
    """Whoever announces the digest of the last part, with the parts before it received by this process or by another."""
    owner = world.tenant()
    first, last = b"anything at all", b"the bytes of another file"
    announced, size = digest_of(last), len(first) + len(last)
    begun = owner.post("/uploads", {"sha256": announced, "size_bytes": size})
    where = f"/uploads/{begun['id']}/bytes"
    owner.call("PUT", where, params={"offset": 0}, content=first)
    if forgets:
        world.database.memory.of(Digests).drop(begun["id"])
    refused = owner.call("PUT", where, params={"offset": len(first)}, content=last)
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert not world.platform.store.has(announced)


@pytest.mark.parametrize("forgets", [False, True])
def test_parts_that_several_processes_took_are_checked_as_well(world: World, forgets: bool) -> None:
    owner = world.tenant()
    data = os.urandom(3000)
    begun = owner.post("/uploads", {"sha256": digest_of(data), "size_bytes": len(data)})
    for at in range(0, 3000, 1000):
        if forgets:
            world.database.memory.of(Digests).drop(begun["id"])
        answer = owner.call("PUT", f"/uploads/{begun['id']}/bytes", params={"offset": at}, content=data[at : at + 1000])
    assert answer.json()["complete"]
    assert b"".join(world.platform.store.chunks(digest_of(data))) == data


def test_a_part_that_came_second_does_not_count_as_what_is_stored(world: World) -> None:
    """Two senders of one part: the bytes of the one that was not taken are not what the digest goes on from."""
    owner, one, other = world.tenant(), b"taken", b"other"
    announced = digest_of(other + b"!")
    begun = owner.post("/uploads", {"sha256": announced, "size_bytes": 6})
    where = f"/uploads/{begun['id']}/bytes"
    for data in (one, other):
        assert owner.call("PUT", where, params={"offset": 0}, content=data).json()["offset"] == 5
    assert owner.call("PUT", where, params={"offset": 5}, content=b"!").json()["code"] == "digest_mismatch"
    assert not world.platform.store.has(announced)
