"""Plain elements in bulk: a page is hundreds of cells and labels, and one live element draws them all.

``Plain`` is a note of one element; the outermost of a nest becomes a ``Tree``, the only one that the framework knows. Live
elements (a chart, a place whose content changes) stand among plain ones by ``hold``.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from nicegui import context
from nicegui.element import Element
from nicegui.events import GenericEventArguments

E = TypeVar("E", bound=Element)
Handler = Callable[[dict[str, str]], Any]


class Tree(Element, component="tree.js"):
    """Draws a nest of plain elements and says which of them was used."""

    def __init__(self, root: "Plain") -> None:
        super().__init__()
        self.root = root
        self.open: list[Plain] = []
        self._handlers: list[Handler] = []
        self.show()

    def show(self) -> None:
        """Send what the nest is now, as JSON text: the framework would watch each part of a list for changes."""
        self._props["tree"] = orjson.dumps(self.root.as_list()).decode()

    def answer(self, handler: Handler) -> int:
        """The number of an action that calls ``handler`` with the fields of its form, if it has one."""
        if not self._handlers:
            self.on("act", self._act)
        self._handlers.append(handler)
        return len(self._handlers) - 1

    def _act(self, event: GenericEventArguments) -> Any:
        number, fields = event.args
        return self._handlers[int(number)]({str(k): str(v) for k, v in fields.items()})


class Plain:
    """One element of a page: tag, attributes and children. Use it as a context to put others inside.

    ``actions`` maps ``click`` and ``submit`` to what they call.
    """

    __slots__ = ("attributes", "children", "tag", "tree")

    def __init__(self, tag: str, text: str, attributes: dict[str, Any], actions: dict[str, Handler]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Plain | str | int] = [text] if text else []
        parent = _parent()
        if parent is None:
            self.tree = Tree(self)
        else:
            self.tree = parent.tree
            parent.children.append(self)
        for name, handler in actions.items():
            self.attributes[f"!{name}"] = self.tree.answer(handler)
        if parent is None and actions:
            self.tree.show()

    def __enter__(self) -> "Plain":
        if self.tree.root is not self and not self.tree.open:
            raise RuntimeError("this part of the page has been sent; put what changes into a place of its own")
        self.tree.__enter__()
        self.tree.open.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        self.tree.open.pop()
        self.tree.__exit__(*error)
        if not self.tree.open:
            self.tree.show()

    def as_list(self) -> list[Any]:
        return [self.tag, self.attributes, *(c.as_list() if isinstance(c, Plain) else c for c in self.children)]


def _parent() -> Plain | None:
    """The plain element that is open at this point of the page, if the innermost open one is plain."""
    host = context.slot.parent
    return host.open[-1] if isinstance(host, Tree) and host.open else None


def hold(make: Callable[[], E]) -> E:
    """A live element, made by ``make``, at this point among plain ones."""
    parent = _parent()
    made = make()
    if parent is not None:
        parent.children.append(made.id)
    return made
