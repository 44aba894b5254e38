"""HiGHS as it is used here: one thread, a fixed seed, and not a word on standard output."""

import highspy


class Solver(highspy.Highs):
    """``options`` are HiGHS's own."""

    def __init__(self, **options: bool | int | str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        for name, value in {"threads": 1, "random_seed": 0, **options}.items():
            self.setOptionValue(name, value)

    def enableCallbacks(self) -> None:  # noqa: N802 - HiGHS's name
        """Called while it is made, which is when it would print its name; so output is turned off here."""
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()  # type: ignore[no-untyped-call]
