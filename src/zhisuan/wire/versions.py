"""Which agents a server works with.

1. A message only ever gains fields, each with a default; a field never changes its meaning, its type or its limits, and none
   becomes required. A receiver ignores what it does not know.
2. A server works with agents of its own minor version, of the one before, and of any newer one.
3. An agent works with a server that is one minor version newer or older. Servers are upgraded first.
4. An agent that is too old is told so at every call. Its work goes on, its usage and output are kept at the site, and all is
   handed in once it is upgraded.
"""

import re

OLDEST_AGENT = (0, 1)
"""Major and minor: that of the server, less one minor, once there was one before."""
AGENT = "zhisuan-agent/"
_VERSION = re.compile(r"(\d{1,5})\.(\d{1,5})(\.\d{1,5})?([ab.+-].*)?")


def agent_version(user_agent: str) -> str | None:
    """What an agent says it is; None for a caller that is none."""
    first = user_agent.partition(" ")[0]
    return first.removeprefix(AGENT) if first.startswith(AGENT) else None


def is_too_old(version: str) -> bool:
    """What is no version at all is judged by what it sends."""
    found = _VERSION.fullmatch(version)
    return found is not None and (int(found[1]), int(found[2])) < OLDEST_AGENT
