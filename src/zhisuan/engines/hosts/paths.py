"""Where the head keeps what it knows of a run."""

import os
from pathlib import Path

from zhisuan.engines.slurm.paths import RunPaths as MergedRunPaths


class RunPaths(MergedRunPaths):
    """Below ``<root>/runs/<lease>/<generation>/``: ``order`` the whole specification, with secrets, for its owner only ·
    ``begun`` the word to begin was given · ``started`` when it began · ``stop`` a request to end · ``ending`` why it ends,
    where one rank ends the others · ``exit`` how it ended · ``log``, ``merged`` · ``<rank>/``: ``out`` its output,
    ``last`` the last that its host said · ``artifacts``, ``fetched``, ``checkpoint``,
    ``copy.<n>`` those of rank 0 · ``folder.<n>`` a folder that is shown to the run, packed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.order = folder / "order"
        self.begun = str(folder / "begun")
        self.started = str(folder / "started")
        self.request = str(folder / "stop")
        self.ending = str(folder / "ending")
        self.artifacts = folder / "artifacts"
        self.fetched = str(folder / "fetched")
        self.checkpoint = folder / "checkpoint"

    def copy(self, number: int) -> Path:
        """Of the run's own copy of its ``number``-th folder."""
        return self.folder / f"copy.{number}"

    def out(self, rank: int) -> Path:
        return self.node(rank) / "out"

    def last(self, rank: int) -> Path:
        return self.node(rank) / "last"

    def is_held(self) -> bool:
        """Whether the run exists: it was ordered, or cancelled before."""
        return os.path.exists(self.order) or os.path.exists(self.exit)
