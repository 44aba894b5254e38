"""What an engine refuses, and why.

EngineError
├── InvalidSpec           the run specification cannot be carried out as written
├── StaleGeneration       a newer generation of the lease is already here
├── UnknownRun            no such lease and generation on this engine
├── RunStillActive        the run must end before it can be removed
├── IsolationUnavailable  this host cannot isolate tenants' work and the operator has not allowed it unisolated
├── StartRefused          the host could not create the run (the run did not begin)
└── EngineUnavailable     the cluster behind the engine does not answer now; what runs there goes on, ask again
"""


class EngineError(Exception):
    """Base of all errors an engine raises on purpose. ``code`` is stable; the text is for people."""

    code = "engine_error"


class InvalidSpec(EngineError):
    code = "invalid_spec"


class StaleGeneration(EngineError):
    code = "stale_generation"

    def __init__(self, lease_id: str, generation: int, held: int) -> None:
        super().__init__(
            f"lease {lease_id}: generation {generation} is stale, generation {held} is already here; "
            "read the lease again from the server and drop this order"
        )
        self.lease_id = lease_id
        self.generation = generation
        self.held = held


class UnknownRun(EngineError):
    code = "unknown_run"

    def __init__(self, lease_id: str, generation: int) -> None:
        super().__init__(f"lease {lease_id}, generation {generation}: no such run on this engine")
        self.lease_id = lease_id
        self.generation = generation


class RunStillActive(EngineError):
    code = "run_still_active"

    def __init__(self, lease_id: str, generation: int) -> None:
        super().__init__(f"lease {lease_id}, generation {generation} has not ended; stop it and wait, then remove it")
        self.lease_id = lease_id
        self.generation = generation


class IsolationUnavailable(EngineError):
    code = "isolation_unavailable"


class StartRefused(EngineError):
    code = "start_refused"


class EngineUnavailable(EngineError):
    code = "engine_unavailable"
