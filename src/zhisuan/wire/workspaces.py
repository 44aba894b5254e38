"""Where browsers find workspaces, by one rule for server and gateway.

Pages of one origin can read each other, whatever their paths, and what runs in a workspace is its tenant's. So each workspace has
a host name of its own, never a path on a shared one: a setting with ``{id}`` in the host name, or ``….localhost``, which browsers
lead to this machine by themselves, where the gateway is on loopback.
"""

from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ID = "{id}"


def host_label(workload_id: str) -> str:
    """The id as a part of a host name, where an underscore is not allowed."""
    return workload_id.replace("_", "-")


def workspace_address(template: str | None, gateway_url: str, workload_id: str) -> str | None:
    """Scheme, host and port of a workspace, without a slash at the end; None where there is no host name for each."""
    if template is None:
        found = urlsplit(gateway_url)
        if found.hostname not in LOOPBACK:
            return None
        template = f"{found.scheme}://{ID}.localhost" + (f":{found.port}" if found.port else "")
    split = urlsplit(template)
    if split.scheme not in ("http", "https") or ID not in split.netloc:
        return None
    return f"{split.scheme}://{split.netloc}".replace(ID, host_label(workload_id))
