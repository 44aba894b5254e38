"""What is saved of a checkpoint folder is a state that it really had, however fast the work writes."""

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from zhisuan.site import checkpoints
from zhisuan.site.checkpoints import Unsettled, _content, _digest, _snapshot


@contextmanager
def worker(step: "Step", pause: float) -> Iterator[None]:
    """A thread that keeps on writing."""
    over = threading.Event()

    def work() -> None:
        for number in itertools.count(1):
            step(number)
            if over.wait(pause):
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Step:
    def __init__(self, folder: Path, *, rename: bool) -> None:
        self.folder, self.rename = folder, rename

    def __call__(self, number: int) -> None:
        """First ``a``, then ``b``: at any moment they are equal, or ``a`` is one ahead."""
        for name in ("a", "b"):
            place = self.folder.parent / "new" if self.rename else self.folder / name
            place.write_text(f"{number:09d}" * 2000)
            if self.rename:
                os.replace(place, self.folder / name)


def numbers(found: dict[str, checkpoints._File]) -> list[int]:
    read = []
    for name in ("a", "b"):
        with _content(found[name]) as content:
            text = os.pread(content.fileno(), 1 << 20, 0).decode()
        assert text == text[:9] * 2000, "a file is never half of one and half of another"
        read.append(int(text[:9]))
    return read


def test_files_that_are_renamed_into_place_are_of_one_moment(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    Step(folder, rename=True)(0)
    seen = set()
    with worker(Step(folder, rename=True), 0.002):
        for _ in range(30):
            with ExitStack() as held:
                found = _snapshot(folder, {}, held)
                threading.Event().wait(0.005)
                a, b = numbers(found)
            assert a - b in (0, 1), "both are of the same moment although the work went on"
            seen.add(a)
    assert len(seen) > 10


def test_files_that_change_in_place_are_not_taken_for_whole(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "log").write_text("one")
    with ExitStack() as held:
        found = _snapshot(folder, {}, held)
        (folder / "log").write_text("another")
        with pytest.raises(Unsettled, match="log changed"):
            _digest(found["log"])


def test_what_never_stands_still_is_given_up_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_stamps", lambda folder: {})
    (tmp_path / "x").write_text("x")
    monkeypatch.setattr(checkpoints, "LOOK_AGAIN_SECONDS", 0)
    with ExitStack() as held, pytest.raises(Unsettled, match="rename it when it is whole"):
        _snapshot(tmp_path, {}, held)


def test_what_is_known_is_not_held_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("w")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with ExitStack() as held:
        first = _snapshot(tmp_path, {}, held)
        assert list(first) == ["weights"] and first["weights"].held is not None
        known = {"weights": (first["weights"].stamp, _digest(first["weights"]))}
        assert _snapshot(tmp_path, known, held)["weights"].held is None
    (tmp_path / "weights").write_text("changed")
    with ExitStack() as held:
        assert _snapshot(tmp_path, known, held)["weights"].held is not None
