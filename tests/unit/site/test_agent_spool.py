"""Windows leave the journal only when the server has counted them, or will never."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zhisuan.site.backoff import Backoff, Link
from zhisuan.site.journal import Journal
from zhisuan.site.record import LeaseRecord
from zhisuan.site.signals import Signals
from zhisuan.site.spool import Spool
from zhisuan.wire.common import Accepted
from zhisuan.wire.site import LeaseOffer, NodeGrantMessage, UsageBatch, UsageWindow

START = datetime(2026, 7, 1, tzinfo=UTC)
WINDOWS = [
    UsageWindow(id=f"w{n}", lease_id="lea_1", generation=1, start=START + timedelta(minutes=n), end=START + timedelta(minutes=n, seconds=60))
    for n in range(3)
]


OFFER = LeaseOffer(
    lease_id="lea_1", generation=1, workload_id="job_1", workload_name="job", run="true",
    nodes=(NodeGrantMessage(hostname="host", devices=()),),
)


class Server:
    """Answers each batch with the next of ``answers``."""

    def __init__(self, *answers: Accepted) -> None:
        self.answers = list(answers)
        self.batches: list[list[str]] = []

    async def send_usage(self, batch: UsageBatch) -> Accepted:
        self.batches.append([w.id for w in batch.windows])
        return self.answers.pop(0)


def test_a_window_that_came_too_early_is_sent_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.save(LeaseRecord(offer=OFFER), WINDOWS)
    server = Server(Accepted(accepted=1, refused=("w0",), retry=("w2",)), Accepted(accepted=1))

    async def run() -> None:
        signals = Signals()
        spool = Spool(server, journal, signals, Link(), lambda: Backoff(lambda: 0.0))  # type: ignore[arg-type]
        task = asyncio.create_task(spool.run())
        async with asyncio.timeout(20):
            while len(server.batches) < 2:
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
    assert server.batches == [["w0", "w1", "w2"], ["w2"]]
    assert journal.unsent_windows(10) == []
