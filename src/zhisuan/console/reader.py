"""The signed-in person whom a page is made for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zhisuan.console.client import Api
from zhisuan.console.speech import Speech


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, what they may see, and the platform as they see it."""

    api: Api
    say: Speech
    kind: str
    role: str
    organisation_id: str
    organisation: str
    person: str
    permissions: frozenset[str]

    @classmethod
    def of(cls, api: Api, say: Speech, me: Mapping[str, Any]) -> "Reader":
        return cls(
            api=api, say=say, kind=str(me["organisation"]["kind"]), role=str(me["role"]),
            organisation_id=str(me["organisation"]["id"]), organisation=str(me["organisation"]["name"]),
            person=str(me["user"]["name"]), permissions=frozenset(me["permissions"]),
        )  # fmt: skip

    def may(self, *permissions: str) -> bool:
        """Whether the role holds one of ``permissions``."""
        return any(p in self.permissions for p in permissions)
