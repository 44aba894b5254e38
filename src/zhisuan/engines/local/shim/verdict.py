"""Why a run ended, decided from what the supervisor saw. Pure."""

_SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
    11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip


class Seen:
    """``ending``: the reason the supervisor itself ended the run for, with its message. ``said``: what init reported
    as the end, ``(phase, exit code, signal)``. ``hello``: init was there; ``began``: a script was. ``refused``: why init
    would not begin. ``head``: the first output. ``exit_status``: of the outermost process, negative for a signal."""

    def __init__(self) -> None:
        self.ending: tuple[str, str] | None = None
        self.said: tuple[str, int, int] | None = None
        self.hello = False
        self.began = False
        self.refused: str | None = None
        self.head = ""
        self.out_of_memory_kills = 0
        self.memory_mib = 0
        self.exit_status = 0


class Verdict:
    def __init__(
        self, reason: str, message: str | None, exit_code: int | None = None, signal: int | None = None
    ) -> None:
        self.reason = reason
        self.message = message
        self.exit_code = exit_code
        self.signal = signal


def out_of_memory_message(memory_mib: int) -> str:
    return f"the memory limit of {memory_mib} MiB was reached and the run was ended; ask for more memory or use less"


def decide(seen: Seen) -> Verdict:
    """A reason of the supervisor's own comes first, then the memory limit, then what the scripts returned."""
    exit_code, signal = _codes(seen.said)
    if seen.ending is not None:
        return Verdict(*seen.ending, exit_code, signal)
    if seen.out_of_memory_kills:
        return Verdict("out_of_memory", out_of_memory_message(seen.memory_mib), exit_code, signal)
    if seen.refused is not None:
        return Verdict("start_failed", seen.refused)
    if seen.said is not None:
        return _from_script(seen.said[0], exit_code, signal)
    if not seen.began:
        detail = " ".join(seen.head.split())[:500] or f"it ended with status {seen.exit_status} and said nothing"
        what = "the work could not be begun" if seen.hello else "the sandbox could not be set up"
        return Verdict("start_failed", f"{what}: {detail}")
    return Verdict("failed", "the sandbox's first process was killed, from inside or from outside", None, 9)


def _codes(said: tuple[str, int, int] | None) -> tuple[int | None, int | None]:
    if said is None:
        return None, None
    return (None, said[2]) if said[2] else (said[1], None)


def _from_script(phase: str, exit_code: int | None, signal: int | None) -> Verdict:
    if phase == "run" and exit_code == 0:
        return Verdict("completed", None, 0)
    how = f"ended with exit code {exit_code}"
    if signal is not None:
        how = f"was killed by {_SIGNALS.get(signal, f'signal {signal}')}"
    return Verdict("setup_failed" if phase == "setup" else "failed", f"{phase} {how}", exit_code, signal)
