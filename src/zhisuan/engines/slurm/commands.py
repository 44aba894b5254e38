"""Calls Slurm's commands, and tells a refusal of Slurm from a Slurm that does not answer."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.slurm.parse import Nonsense

T = TypeVar("T")

_AWAY = re.compile(
    "|".join(
        (
            "unable to contact slurm controller", "connection refused", "connection reset", "connection timed out",
            "socket timed out", "zero bytes were transmitted", "no route to host", "network is unreachable",
            "controller not responding", "backup controller", "controller is in standby", "resource temporarily unavailable",
            "transport endpoint", "munge", "authentication plugin", "protocol authentication error", "could not establish a configuration source",
            "unable to process configuration", "slurmdbd", "slurm_persist_conn", "retry", "in recovery",
        )
    ),
    re.IGNORECASE,
)  # fmt: skip
"""What Slurm's commands say when the controller, its authentication or the way to them is at fault, not the request."""


class Refused(Exception):
    """Slurm answered, and said no. ``str()`` is what it said."""


class Slurm:
    """``conf`` is the file all commands follow; without it they find their own. Commands are looked up in ``PATH``."""

    def __init__(self, conf: Path | None, timeout_seconds: float) -> None:
        self._conf = conf
        self._timeout = timeout_seconds

    def call(self, *words: str, timeout_seconds: float | None = None) -> str:
        """What the command prints. Raises Refused, EngineUnavailable."""
        program = shutil.which(words[0])
        if program is None:
            raise EngineUnavailable(
                f"the command {words[0]} is not here; install Slurm's client commands on this host, or put their folder "
                "into the agent's PATH"
            )
        seconds = timeout_seconds or self._timeout
        try:
            done = subprocess.run(
                [program, *words[1:]],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=seconds,
                env=self._environment(),
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EngineUnavailable(
                f"{words[0]} did not answer within {seconds:g} seconds; is slurmctld running and not overloaded?"
            ) from error
        except OSError as error:
            raise EngineUnavailable(f"{program} cannot be run: {error}") from error
        output = done.stdout.decode("utf-8", "replace")
        if done.returncode == 0:
            return output
        said = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())[:500]
        if done.returncode < 0 or _AWAY.search(said):
            raise EngineUnavailable(f"{words[0]} could not reach Slurm: {said or f'signal {-done.returncode}'}")
        raise Refused(said or f"{words[0]} ended with {done.returncode} and said nothing")

    def ask(self, read: Callable[[str], T], *words: str) -> T:
        """The command's output, read. Any refusal and any nonsense means that nothing can be known now."""
        try:
            return read(self.call(*words))
        except Refused as error:
            raise EngineUnavailable(f"{words[0]} refuses to answer: {error}") from error
        except Nonsense as error:
            raise nonsense(words, error) from error

    def _environment(self) -> dict[str, str]:
        """Nothing of the agent's own environment reaches the jobs: sbatch hands on what it has."""
        kept = {name: os.environ[name] for name in ("PATH", "SLURM_CONF", "TZ") if name in os.environ}
        conf = {"SLURM_CONF": str(self._conf)} if self._conf is not None else {}
        return {"LC_ALL": "C", "SLURM_TIME_FORMAT": "%s", **kept, **conf}


def nonsense(words: Sequence[str], error: Nonsense) -> EngineUnavailable:
    return EngineUnavailable(
        f"{words[0]} printed what this driver does not understand: {str(error)!r}; is it Slurm's own command, version 20.11 "
        "or newer?"
    )
