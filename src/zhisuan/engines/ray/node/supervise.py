"""The supervisor of one node's part of a run: the local engine's, with what differs where Ray started it.

Ray gives no control group, so memory is watched and not fenced in; the node belongs to Ray, so Ray may end the
supervisor at any time; and whatever leaves the run's own session must be found without a namespace of processes.
"""

import ctypes
import os
import signal
import time

from zhisuan.engines.local import procusage, records
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.shim.child import Child
from zhisuan.engines.local.shim.plan import Plan
from zhisuan.engines.local.shim.supervise import Supervisor
from zhisuan.engines.local.shim.verdict import Verdict, out_of_memory_message

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
"""<linux/prctl.h>"""
_ENDED_BY_RAY_GRACE_SECONDS = 2
"""Ray itself kills three seconds after its own stop (RAY_JOB_STOP_WAIT_TIME_S)."""
_SWEEP_SECONDS = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class NodeSupervisor(Supervisor):
    def __init__(self, plan: Plan, paths: RunPaths, state: records.Pairs) -> None:
        super().__init__(plan, paths, state)
        self.parent = os.getppid()
        self.helpers: set[int] = set()
        libc = ctypes.CDLL(None, use_errno=True)
        # What loses its parent comes to this process, so that nothing of the run can leave its tree.
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        signal.signal(signal.SIGTERM, self._ended_by_ray)

    def refuse(self, message: str) -> None:
        """End the run before anything of it began."""
        self._write_exit(Verdict("start_failed", message))

    def _ended_by_ray(self, _number: int, _frame: object) -> None:
        """Ray stops the job (its process lives), or Ray's own process on this node died."""
        if os.getppid() == self.parent:
            self._end("cancelled", "the job was stopped in Ray itself", _ENDED_BY_RAY_GRACE_SECONDS)
        else:
            self._end("lost", "Ray's own process on this node died, and the run was ended with it", 0)

    def _members(self) -> dict[int, list[bytes]]:
        """All processes below this one, zombies too."""
        found = procusage.tree(os.getpid())
        found.pop(os.getpid(), None)
        return found

    def _measure(self) -> None:
        members = self._members()
        for pid in self.helpers:
            members.pop(pid, None)
        own = self.child.pid if self.child is not None else 0
        for pid, fields in members.items():
            if fields[0] == b"Z" and int(fields[1]) == os.getpid() and pid != own:
                self._reap(pid)
        ticks = sum(int(field) for fields in members.values() for field in fields[11:15])
        self.cpu_ms = max(self.cpu_ms, ticks * 1000 // _TICKS)
        resident = sum(int(fields[21]) for fields in members.values()) * _PAGE_BYTES
        limit = self.plan.memory_bytes
        used = min(resident, self._proportional_bytes(list(members))) if resident > limit else resident
        self.memory_peak = max(self.memory_peak, used)
        if used > limit:
            self._end("out_of_memory", out_of_memory_message(self.seen.memory_mib), 0)

    def _proportional_bytes(self, pids: list[int]) -> int:
        """Shared pages counted once (``Pss``, proc(5)); dear, so asked only when the plain sum is above the limit."""
        total = 0
        for pid in pids:
            try:
                with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                    total += sum(int(line.split()[1]) << 10 for line in file if line.startswith(b"Pss:"))
            except OSError:
                continue
        return total

    def _finish(self, child: Child) -> None:
        """Before the last word: whatever left the run's own session."""
        deadline = time.monotonic() + _SWEEP_SECONDS
        while (left := [pid for pid in self._members() if pid != child.pid]) and time.monotonic() < deadline:
            for pid in left:
                self._kill_one(pid)
            time.sleep(0.01)
        super()._finish(child)

    def _kill_one(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self._reap(pid)

    def _reap(self, pid: int) -> None:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return
