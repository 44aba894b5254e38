"""The box that shows a workload's output as it comes."""

from nicegui.element import Element

KEPT_CHARACTERS = 400_000
"""How much of the output the page keeps; the download has all of it."""


class LogView(Element, component="logview.js"):
    """Text that grows at its end. It is put in as text nodes and never read as markup."""

    def __init__(self, label: str, empty: str, cut: str) -> None:
        super().__init__()
        self._props.update({"label": label, "empty": empty, "cut": cut, "kept": KEPT_CHARACTERS})

    def append(self, text: str) -> None:
        self.run_method("append", text)

    def follow(self, on: bool) -> None:
        self.run_method("follow", on)
