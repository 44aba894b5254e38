"""Whose jobs they are."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from zhisuan.engines.errors import IsolationUnavailable
from zhisuan.engines.slurm.config import SlurmEngineConfig


@dataclass(frozen=True, slots=True)
class Owner:
    """The user of the jobs. ``other``: it is not the agent's own, so files are handed over and sbatch is told."""

    uid: int
    gid: int
    other: bool

    def give(self, path: Path, mode: int) -> None:
        """Make ``path`` the job's own, with ``mode``."""
        path.chmod(mode)
        if self.other:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def sbatch_words(self) -> list[str]:
        return [f"--uid={self.uid}", f"--gid={self.gid}"] if self.other else []


def find_owner(config: SlurmEngineConfig) -> Owner:
    """Raises IsolationUnavailable when tenants' work would run as root, or as a user that cannot be had."""
    if config.unix_user is None:
        if os.geteuid() == 0:
            raise IsolationUnavailable(
                "the agent is root and no unix_user is named, so tenants' work would run as root; name in unix_user a user "
                "without rights that exists on all nodes, or run the agent as such a user"
            )
        return Owner(os.geteuid(), os.getegid(), False)
    try:
        entry = pwd.getpwnam(config.unix_user)
    except KeyError:
        raise IsolationUnavailable(
            f"unix_user {config.unix_user!r} does not exist on this host; make it here and, with the same number, on all nodes"
        ) from None
    if entry.pw_uid == 0:
        raise IsolationUnavailable("unix_user must not be root: tenants' work would run as root")
    if entry.pw_uid == os.geteuid():
        return Owner(entry.pw_uid, entry.pw_gid, False)
    if os.geteuid() != 0:
        raise IsolationUnavailable(
            f"only root may submit jobs as another user; run the agent as root or as {config.unix_user}"
        )
    return Owner(entry.pw_uid, entry.pw_gid, True)
