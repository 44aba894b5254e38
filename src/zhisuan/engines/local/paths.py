"""Where everything of a run lies. Light: the supervisor imports it too."""


class RunPaths:
    """Files of one run, below its folder ``<root>/runs/<lease>/<generation>``.

    ``plan`` what to do (agent) · ``lock`` held while the supervisor lives · ``state`` that and how it began ·
    ``heartbeat`` last sign of life and use so far · ``exit`` how it ended, written once · ``stop`` request to end ·
    ``go`` word to a waiting rank to begin · ``poke`` pipe that wakes the supervisor · ``log`` output ·
    ``work``, ``artifacts``, ``checkpoint``, ``mounts``, ``progress`` the
    run's own, visible inside · ``errors`` what the supervisor itself complains of.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.plan = f"{folder}/plan"
        self.lock = f"{folder}/lock"
        self.state = f"{folder}/state"
        self.heartbeat = f"{folder}/heartbeat"
        self.exit = f"{folder}/exit"
        self.stop = f"{folder}/stop"
        self.go = f"{folder}/go"
        self.poke = f"{folder}/poke"
        self.log = f"{folder}/log"
        self.errors = f"{folder}/errors"
        self.work = f"{folder}/work"
        self.artifacts = f"{folder}/artifacts"
        self.checkpoint = f"{folder}/checkpoint"
        self.mounts = f"{folder}/mounts"
        self.progress = f"{folder}/progress"
