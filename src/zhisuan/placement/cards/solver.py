"""The solver, without a word on standard output: decisions are written there."""

import highspy


class Quiet(highspy.Highs):
    """One thread, so that the same programme has the same solution."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.setOptionValue("threads", 1)

    def enableCallbacks(self) -> None:  # noqa: N802
        """Called by the constructor, and what first prints the solver's banner."""
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()  # type: ignore[no-untyped-call]
