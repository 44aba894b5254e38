"""From the command line to a running agent.

1. *Check*: this machine and the way to the server; a verdict that stops ends here, and nothing has been touched.
2. *Find and measure*: the devices, the memory, the disk; kept, so that the agent need not do it again.
3. *Register*: the token is traded for a credential that never left this machine; the server takes what is said of the site.
4. *Run*: in the foreground, or as a unit of systemd.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass, field
from random import SystemRandom

from zhisuan.app.findings import Finding
from zhisuan.app.joining.asked import Asked, config_of, registration_of
from zhisuan.app.joining.host import examine_host
from zhisuan.app.joining.server import ServerLook, examine_server
from zhisuan.app.joining.show import Shown
from zhisuan.app.joining.unit import write_service
from zhisuan.base.clock import Clock
from zhisuan.base.errors import Conflict
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.text import Text
from zhisuan.site.agent import JOURNAL_NAME
from zhisuan.site.backoff import Backoff, Link
from zhisuan.site.client import ServerClient
from zhisuan.site.config import AgentConfig
from zhisuan.site.errors import ConfigUnusable
from zhisuan.site.identity import FILE_NAME, Identity, establish, load
from zhisuan.site.inventory import survey
from zhisuan.site.journal import Journal
from zhisuan.site.main import run_agent
from zhisuan.site.round_trip import RoundTrip
from zhisuan.wire.joining import SiteRegistration


@dataclass
class Joining:
    """One machine on its way to be a site. ``clock`` is this machine's."""

    asked: Asked
    shown: Shown
    clock: Clock
    config: AgentConfig = field(init=False)
    registration: SiteRegistration | None = field(init=False)
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = config_of(self.asked)
        self.registration = registration_of(self.asked)

    def check(self, *, joins: bool, for_service: bool = False) -> ServerLook:
        """Look, and show each verdict as it is known."""
        self.shown.say(Text("Checking this machine", "正在检查本机"), "bold")
        for finding in examine_host(self.config, self.asked.engine, self.clock, for_service=for_service):
            self._found(finding)
        self.shown.say(Text("Checking the way to the platform", "正在检查与平台的连接"), "bold")
        with contextlib.suppress(ConfigUnusable):
            look = asyncio.run(
                examine_server(self.config, self.clock, token=self.asked.token, identity=self._identity(), joins=joins)
            )
            for finding in look.findings:
                self._found(finding)
            return look
        return ServerLook(())

    def _identity(self) -> Identity | None:
        try:
            return load(self.config.data_dir)
        except ConfigUnusable as error:
            self._found(Finding("credential", "fail", error.what, error.remedy))
            raise

    def _found(self, finding: Finding) -> None:
        self.findings.append(finding)
        self.shown.findings([finding])

    @property
    def stopped(self) -> bool:
        return any(f.verdict == "fail" for f in self.findings)

    def require_good(self) -> None:
        """Raises ``Conflict`` naming what stops."""
        self.shown.verdict(self.findings)
        if self.stopped:
            stops = [f for f in self.findings if f.verdict == "fail"]
            raise Conflict(
                Text(
                    "This machine cannot join yet: " + "; ".join(f.what.en for f in stops) + ".",
                    "本机暂时无法加入：" + "；".join(f.what.zh for f in stops) + "。",
                ),
                Text(
                    "Mend what is named above and run this again; nothing has been changed.",
                    "请按上述提示修复后重新运行；目前未做任何更改。",
                ),
                code="cannot_join",
            )

    def measure(self, trip: RoundTrip | None) -> None:
        """Find and measure, and keep it for the agent. A cluster's nodes are the agent's to ask the cluster about."""
        self.config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.asked.engine != "local":
            return
        self.shown.say(Text("Finding and measuring devices", "正在发现并测量设备"), "bold")
        journal = Journal(self.config.data_dir / JOURNAL_NAME)
        try:
            facts, measured = asyncio.run(
                survey(str(self.config.data_dir), self.config.probe, journal, self.clock, working=self._works())
            )
        finally:
            journal.close()
        claims = self.registration.claims or () if self.registration is not None else ()
        self.shown.devices(facts, measured.by_device, claims)
        self.shown.probes({**measured.report, **({"round_trip": trip.to_json()} if trip else {})})

    def _works(self) -> bool:
        """Whether runs of this site may be alive here: they must not be disturbed by a measurement."""
        runs = self.config.data_dir / "engine" / "runs"
        return runs.is_dir() and any(runs.iterdir())

    def register(self, look: ServerLook) -> Identity:
        """The site's identity. A credential that the platform took away makes room for a new one; runs and journal stay."""
        if look.standing is None:
            known = load(self.config.data_dir)
            if known is not None and known.site_id:
                os.replace(self.config.data_dir / FILE_NAME, self.config.data_dir / f"{FILE_NAME}.revoked")
        identity = asyncio.run(self._establish())
        self.shown.say(
            Text(
                f"This machine is the site {identity.site_name} ({identity.site_id}).",
                f"本机已成为站点 {identity.site_name}（{identity.site_id}）。",
            ),
            "bold green",
        )
        return identity

    async def _establish(self) -> Identity:
        client = ServerClient(self.config.server_url, ca_file=self.config.ca_file)
        backoff = Backoff(SystemRandom().random)
        ids = TimeOrderedIds(self.clock)
        try:
            return await establish(
                self.config.data_dir, self.asked.token, client, ids, backoff, Link(), self.registration
            )
        finally:
            await client.close()

    def run(self) -> None:
        """Until told to stop."""
        self.shown.say(
            Text(
                "The agent runs; Ctrl-C stops it, and work goes on. The operator verifies the site before it is sold.",
                "代理已运行；Ctrl-C 可停止代理，作业会继续。站点经运营方核验后才会出售。",
            )
        )
        run_agent(self.config)

    def serve(self, identity: Identity) -> None:
        """Write the unit and say how it is started."""
        made = write_service(self.config, identity.site_name)
        self.shown.say(
            Text(f"The unit {made.unit} is written. Start it with:", f"已写入 {made.unit}。用以下命令启动："), "bold"
        )
        self.shown.lines(made.commands)
