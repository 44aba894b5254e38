"""This host's part in a run of several hosts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

GangNetwork = Literal["none", "host"]


@dataclass(frozen=True, slots=True)
class Seat:
    """``variables``: what the rank is told of the others. ``network``: what the rank sees of the host's network.
    ``waits``: with its archives unpacked the rank waits for ``LocalEngine.go`` before its first instruction, so that all
    begin together. ``address`` is what its host name inside means, where it has a network."""

    variables: Mapping[str, str]
    address: str = "127.0.0.1"
    network: GangNetwork = "none"
    waits: bool = True
