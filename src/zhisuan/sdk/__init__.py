"""The Python client of a zhisuan platform."""

from zhisuan.sdk.archive import Archive, pack_folder
from zhisuan.sdk.client import Client
from zhisuan.sdk.problems import ApiProblem, NotReachable, UnexpectedAnswer
from zhisuan.sdk.types.work import EndEvent, LogEvent, StateEvent

__all__ = [
    "ApiProblem",
    "Archive",
    "Client",
    "EndEvent",
    "LogEvent",
    "NotReachable",
    "StateEvent",
    "UnexpectedAnswer",
    "pack_folder",
]
