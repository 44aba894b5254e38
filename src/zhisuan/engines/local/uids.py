"""Hands each run a user id that no other live run on this host has, whichever engine runs it."""

from pathlib import Path

from zhisuan.engines.local.locks import locked


class UidsExhausted(Exception):
    """Every id of the range is in use."""


class UidRegistry:
    """One file per id in use, holding the run's folder; all changes under one lock."""

    def __init__(self, folder: Path, base: int, count: int) -> None:
        self._folder = folder
        self._base = base
        self._count = count

    def claim(self, run_folder: Path) -> int:
        """The id that ``run_folder`` has, or the lowest free one. Ids of runs whose folder is gone are free again."""
        with locked(self._folder / ".lock"):
            holders = self._holders()
            for uid, holder in holders.items():
                if holder == run_folder and self._base <= uid < self._base + self._count:
                    return uid
            for uid in range(self._base, self._base + self._count):
                if uid not in holders or not holders[uid].is_dir():
                    (self._folder / str(uid)).write_text(str(run_folder), "utf-8")
                    return uid
        raise UidsExhausted(f"all {self._count} user ids from {self._base} are in use; remove ended runs")

    def release(self, run_folder: Path) -> None:
        with locked(self._folder / ".lock"):
            for uid, holder in self._holders().items():
                if holder == run_folder:
                    (self._folder / str(uid)).unlink()

    def _holders(self) -> dict[int, Path]:
        return {
            int(entry.name): Path(entry.read_text("utf-8")) for entry in self._folder.iterdir() if entry.name.isdigit()
        }
