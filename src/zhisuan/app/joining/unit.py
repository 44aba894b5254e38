"""The agent as a service of systemd."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from zhisuan.site.config import AgentConfig, write_config
from zhisuan.site.hosting.config import HostConfig, write_host_config

UNIT_NAME = "zhisuan-site.service"
HOST_UNIT_NAME = "zhisuan-host.service"
CONFIG_NAME = "agent.json"


@dataclass(frozen=True, slots=True)
class Service:
    """The unit that was written, and the commands that start it."""

    unit: Path
    config: Path
    commands: tuple[str, str]


def write_service(config: AgentConfig, site_name: str) -> Service:
    """For root a unit of the system, else one of the user. Writing it starts nothing."""
    file = config.data_dir / CONFIG_NAME
    write_config(config, file)
    return _write(UNIT_NAME, config, file, site_name)


def write_host_service(config: HostConfig) -> Service:
    """The same for the daemon of one host of a site."""
    file = config.data_dir / CONFIG_NAME
    write_host_config(config, file)
    return _write(HOST_UNIT_NAME, config, file, config.name)


def _write(unit_name: str, config: AgentConfig | HostConfig, file: Path, name: str) -> Service:
    root = os.geteuid() == 0
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folder = Path("/etc/systemd/system") if root else home / "systemd" / "user"
    folder.mkdir(parents=True, exist_ok=True)
    unit = folder / unit_name
    unit.write_text(unit_text(config, file, name, root=root), "utf-8")
    control = "systemctl" if root else "systemctl --user"
    return Service(unit, file, (f"{control} daemon-reload", f"{control} enable --now {unit_name}"))


def unit_text(config: AgentConfig | HostConfig, file: Path, site_name: str, *, root: bool) -> str:
    """``KillMode=process``: stopping or updating the agent, or the daemon, leaves tenants' work running; the next agent takes it up.
    The exit statuses that no restart can mend are those of ``zhisuan.site.errors``."""
    name = "".join(ch for ch in site_name if ch.isprintable()).replace("%", "%%")
    what, module = ("site agent", "zhisuan.site")
    if isinstance(config, HostConfig):
        what, module = ("host of a site", "zhisuan.site.hosting")
    target = "multi-user.target" if root else "default.target"
    return f"""[Unit]
Description=zhisuan {what}: {name}
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={_quoted(sys.executable)} -m {module} {_quoted(str(file))}
Restart=always
RestartSec=5
RestartPreventExitStatus=2 3 4 5 6
KillMode=process
Delegate=yes
LimitNOFILE=65536
WorkingDirectory={str(config.data_dir).replace("%", "%%")}

[Install]
WantedBy={target}
"""


def _quoted(word: str) -> str:
    """As systemd.syntax(7) reads it."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"'
