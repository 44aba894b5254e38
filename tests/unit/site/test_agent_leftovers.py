"""What a killed agent left goes, at the start or when it is old; what the next try goes on with stays."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zhisuan.base.clock import ManualClock
from zhisuan.site.leftovers import Leftovers

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FILES = (
    "volumes/files/aa.part", "volumes/files/bb", "volumes/files/cc.copy", "volumes/trees/v1.part/深/f", "volumes/trees/v2.going/f",
    "volumes/trees/v3/f", "volumes/manifests/v1.part", "volumes/manifests/v3", "blobs/b1.part", "blobs/b2.3.cc",
)  # fmt: skip


def left(folder: Path, age: timedelta) -> Leftovers:
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
    at = (NOW - age).timestamp()
    for path in folder.rglob("*"):
        os.utime(path, (at, at))
    (folder / "volumes/trees/v1.part/深").chmod(0o555)
    return Leftovers(folder, ManualClock(NOW))


def there(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


WHOLE = ["blobs/b2.3.cc", "volumes/files/bb", "volumes/manifests/v3", "volumes/trees/v3/f"]


def test_at_the_start_what_was_half_made_goes_and_what_can_be_gone_on_with_stays(tmp_path: Path) -> None:
    removed = left(tmp_path, timedelta(hours=1)).remove(starting=True)
    assert there(tmp_path) == sorted([*WHOLE, "blobs/b1.part", "volumes/files/aa.part"])
    assert (removed.count, removed.size_bytes) == (4, 6)


def test_while_it_runs_nothing_new_goes(tmp_path: Path) -> None:
    assert left(tmp_path, timedelta(hours=23)).remove().count == 0
    assert there(tmp_path) == sorted(FILES)


def test_what_is_a_day_old_goes_at_any_time(tmp_path: Path) -> None:
    leftovers = left(tmp_path, timedelta(hours=25))
    assert leftovers.remove().count == 6
    assert there(tmp_path) == WHOLE
    assert leftovers.remove().count == 0
