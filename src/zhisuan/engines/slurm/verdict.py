"""Why a run ended, from what its nodes wrote and what Slurm says of the job. Pure."""

from dataclasses import dataclass

from zhisuan.engines.contract import ExitReason
from zhisuan.engines.local.shim.verdict import out_of_memory_message
from zhisuan.engines.slurm.node_state import NodeState, RunState

_SIGKILL_STATUS = 128 + 9
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
            11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    reason: ExitReason
    message: str | None
    exit_code: int | None = None


def depends_on_slurm(run: RunState) -> bool:
    """Whether only Slurm can say why: a script was killed, or Slurm itself ended the job."""
    deciding = _deciding(run)
    if deciding.ending is not None:
        return deciding.ending[0] == "slurm"
    return deciding.said is None or deciding.said[1] == _SIGKILL_STATUS


def decide(run: RunState, slurm_state: str | None, memory_mib: int, given_up: str | None = None) -> Verdict:
    """Of a run that is done. ``slurm_state`` is the job's last state, None when it did not matter or is not known; ``given_up``
    the state in which Slurm gave up work that we then ended: that is lost, not cancelled."""
    node = _deciding(run)
    where = f"node {run.nodes.index(node)} ({node.name}): " if len(run.nodes) > 1 else ""
    code = node.said[1] if node.said is not None else None
    if slurm_state == "OUT_OF_MEMORY" and (node.ending is None or node.ending[0] == "slurm"):
        return Verdict(ExitReason.out_of_memory, where + out_of_memory_message(memory_mib), code)
    if node.ending is not None and node.ending[0] == "slurm":
        return from_slurm(slurm_state or "")
    if given_up is not None and node.ending is not None and node.ending[0] == "cancelled":
        return from_slurm(given_up, ended_here=True)
    if node.ending is not None and node.ending[0] != "gang":
        return Verdict(ExitReason(node.ending[0]), node.ending[1], code)
    if node.refused is not None:
        return Verdict(ExitReason.start_failed, where + node.refused)
    if node.said is None and node.started_ms is None:
        return Verdict(
            ExitReason.start_failed,
            f"{where}the work could not be begun: the sandbox ended with status {node.status}; the run's log says what bwrap said",
        )
    if node.said is None:
        return Verdict(ExitReason.failed, f"{where}the sandbox's first process was killed, from inside or from outside")
    return _from_script(where, *node.said)


def _from_script(where: str, phase: str, code: int) -> Verdict:
    if (phase, code) == ("run", 0):
        return Verdict(ExitReason.completed, None, 0)
    signal = f" (128 + {_SIGNALS[code - 128]})" if code - 128 in _SIGNALS else ""
    reason = ExitReason.setup_failed if phase == "setup" else ExitReason.failed
    return Verdict(reason, f"{where}{phase} ended with exit code {code}{signal}", code)


def _deciding(run: RunState) -> NodeState:
    """The node whose end is the run's: that which ended first, else one that did not simply complete, else rank 0."""
    if run.first_to_end is not None:
        return run.nodes[run.first_to_end]
    ended = [node for node in run.nodes if node.ending is not None and node.ending[0] != "gang"]
    failed = [node for node in run.nodes if node.said != ("run", 0)]
    return next(iter((*ended, *failed, *run.nodes)))


def from_slurm(state: str, *, ended_here: bool = False) -> Verdict:
    """Of a job that ended without its scripts' having said so. ``ended_here``: Slurm had given it up, and what was left of
    it was ended by us."""
    if state == "OUT_OF_MEMORY":
        return Verdict(
            ExitReason.out_of_memory, "the memory limit was reached and Slurm ended the job; ask for more memory"
        )
    if state == "TIMEOUT":
        return Verdict(
            ExitReason.timed_out, "Slurm's own time limit was reached (that of the partition, or of the job)"
        )
    told = {
        "NODE_FAIL": "a node of the job failed (NODE_FAIL)",
        "BOOT_FAIL": "a node of the job did not boot (BOOT_FAIL)",
        "PREEMPTED": "Slurm took the nodes for a job of higher priority (PREEMPTED)",
        "CANCELLED": "the job was cancelled in Slurm by someone other than the platform",
        "DEADLINE": "Slurm ended the job at a deadline",
        "": "Slurm knows nothing more of the job, and it left no record of its end",
    }
    text = told.get(state, f"the job ended in Slurm as {state} and left no record of its end")
    left = "what was left of it was ended" if ended_here else "the end is the last sign of life"
    return Verdict(ExitReason.lost, f"{text}; {left}")
