"""Workspaces: interactive sessions at a site, and how they are started there.

A workspace is a workload with one port that only its organisation reaches, through the gateway and the site's tunnel. What
it runs is the platform's: JupyterLab where the site has it, or the terminals of ``programs/terminals.py``, which travel in
the script, so that a site needs nothing but Python for them. Both answer below ``base_path`` and take one token, made for one
lease, which the gateway adds to every request.
"""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from zhisuan.base.secrets import digest

KINDS = ("jupyter", "shell")
PORTS_FROM, PORTS = 20_000, 10_000
Wrong = Callable[[str, str, str], None]

_JUPYTER = """\
if ! command -v jupyter-lab > /dev/null; then
  echo "JupyterLab is not installed at this site. Its operator can add it to the environment named in runtime_prefixes" \\
    "(pip install jupyterlab); a shell workspace (zhisuan.workspace: shell) works without it." >&2
  exit 127
fi
export JUPYTER_TOKEN="$ZHISUAN_WORKSPACE_TOKEN"
unset ZHISUAN_WORKSPACE_TOKEN
if [ ! -e "$HOME/.jupyter/labconfig" ]; then  # there is no way out for news, so nobody is asked about them
  mkdir -p "$HOME/.jupyter/labconfig"
  echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' \\
    > "$HOME/.jupyter/labconfig/page_config.json"
fi
exec jupyter-lab --no-browser --ServerApp.ip="${ZHISUAN_SERVICE_HOST:-127.0.0.1}" --ServerApp.port="$ZHISUAN_SERVICE_PORT" \\
  --ServerApp.port_retries=0 --ServerApp.base_url="$ZHISUAN_WORKSPACE_PATH" --ServerApp.root_dir="$PWD" \\
  --ServerApp.allow_remote_access=True --LabApp.extension_manager=readonly \\
  --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate --allow-root
"""
_END = "THE_PLATFORMS_PROGRAM_ENDS_HERE"


def read_kind(wrong: Wrong, own: Mapping[str, Any], data: Mapping[str, Any]) -> str | None:
    """The kind of workspace that a file asks for below ``zhisuan:``; what does not go with one is named to ``wrong``."""
    kind = own.get("workspace")
    if kind is None:
        return None
    if kind not in KINDS:
        wrong("zhisuan.workspace", "is jupyter or shell", "须为 jupyter 或 shell")
        return None
    if data.get("run") is not None:
        wrong(
            "run",
            "does not go with zhisuan.workspace, which runs its own session; put commands into setup",
            "不能与 zhisuan.workspace 同时使用；请把命令写入 setup",
        )
    if data.get("service") is not None:
        wrong("service", "does not go with zhisuan.workspace", "不能与 zhisuan.workspace 同时使用")
    if data.get("num_nodes", 1) != 1:
        wrong("num_nodes", "must be 1 for a workspace", "工作空间只能使用一个节点，须为 1")
    return str(kind)


def base_path(workload_id: str) -> str:
    """Where a workspace answers, at the gateway and in its sandbox alike."""
    return f"/workspaces/{workload_id}/"


def readiness_path(workload_id: str) -> str:
    return base_path(workload_id) + "api"


def port_of(token: str) -> int:
    """The port of one lease's session: chance keeps apart those that an engine without networks of their own puts on one host."""
    return PORTS_FROM + int(digest(token)[:8], 16) % PORTS


def environment(workload_id: str, token: str) -> dict[str, str]:
    return {"ZHISUAN_WORKSPACE_PATH": base_path(workload_id), "ZHISUAN_WORKSPACE_TOKEN": token}


def script(kind: str) -> str:
    """The bash script that runs the session."""
    if kind == "jupyter":
        return _JUPYTER
    program = (files("zhisuan.workload.programs") / "terminals.py").read_text("utf-8")
    return (
        'for python in python3 python; do command -v "$python" > /dev/null && break; done\n'
        f"exec \"$python\" -I - <<'{_END}'\n{program}\n{_END}\n"
    )
