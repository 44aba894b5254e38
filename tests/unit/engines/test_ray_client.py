"""Ray's dashboard as the engine hears it: what counts as an answer, and how long one is believed."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zhisuan.engines.errors import EngineUnavailable, StartRefused
from zhisuan.engines.ray.client import JobOrder, RayClient
from zhisuan.engines.ray.config import RayEngineConfig
from zhisuan.engines.ray.jobs import JobTable

ORDER = JobOrder(submission_id="job-1", entrypoint="true", metadata={})
Answer = tuple[int, Any]


class Dashboard:
    """A server on loopback that answers as told and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        told = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                key = f"{self.command} {self.path.partition('?')[0]}"
                told.asked.append((key, dict(self.headers)))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, content = told.answers.get(key, (404, "no such page"))
                data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - names of http.server

            def log_message(self, *_: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def client(self, **changes: Any) -> RayClient:
        return RayClient(RayEngineConfig(address=f"http://127.0.0.1:{self.server.server_port}/", **changes))

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    dashboard = Dashboard()
    yield dashboard
    dashboard.close()


@pytest.mark.parametrize(
    "answer",
    [
        (200, "<html>Sign in</html>"),
        (200, "[" * 100_000),
        (200, {"detail": "not a list"}),
        (200, [{"submission_id": "x"}]),
        (200, b"\xff\xfe".decode("latin-1")),
        (302, ""),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (502, "Bad Gateway"),
    ],
)
def test_whatever_is_no_answer_of_ray_means_that_nothing_is_known(dashboard: Dashboard, answer: Answer) -> None:
    dashboard.answers["GET /api/jobs/"] = answer
    with pytest.raises(EngineUnavailable, match="does not answer as it should"):
        dashboard.client().jobs()


def test_nobody_there_means_that_nothing_is_known() -> None:
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:1 "):
        RayClient(RayEngineConfig(address="http://127.0.0.1:1")).version()


def test_a_refused_token_is_said_to_be_that(dashboard: Dashboard) -> None:
    dashboard.answers["GET /api/version"] = (401, "Unauthorized")
    with pytest.raises(EngineUnavailable, match="token"):
        dashboard.client().version()


def test_token_and_headers_go_with_every_call(dashboard: Dashboard) -> None:
    dashboard.answers["GET /api/version"] = (200, {"ray_version": "2.60.0", "session_name": "s"})
    assert dashboard.client(token="t0", headers={"X-Gate": "g0"}).version() == "2.60.0"
    (_, headers) = dashboard.asked[0]
    assert (headers["Authorization"], headers["X-Gate"]) == ("Bearer t0", "g0")


def test_a_state_api_that_could_not_ask_its_nodes_is_not_an_empty_cluster(dashboard: Dashboard) -> None:
    dashboard.answers["GET /api/v0/nodes"] = (200, {"result": False, "msg": "GCS timed out", "data": {}})
    with pytest.raises(EngineUnavailable):
        dashboard.client().nodes()


def test_an_order_that_ray_has_already_is_taken(dashboard: Dashboard) -> None:
    dashboard.answers["POST /api/jobs/"] = (
        500,
        "Traceback …\nValueError: Job with submission_id job-1 already exists.",
    )
    dashboard.answers["GET /api/jobs/job-1"] = (200, {"submission_id": "job-1", "status": "RUNNING"})
    dashboard.client().submit(ORDER)


def test_an_order_that_ray_could_not_take_is_not_taken(dashboard: Dashboard) -> None:
    dashboard.answers["POST /api/jobs/"] = (500, "No available agent to submit job, please try again later.")
    with pytest.raises(EngineUnavailable, match="No available agent"):
        dashboard.client().submit(ORDER)


def test_an_order_that_ray_refuses_says_why(dashboard: Dashboard) -> None:
    dashboard.answers["POST /api/jobs/"] = (
        400,
        "Traceback …\n  File …\nTypeError: entrypoint_num_cpus must be a number",
    )
    with pytest.raises(StartRefused, match="TypeError: entrypoint_num_cpus must be a number"):
        dashboard.client().submit(ORDER)


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _table(dashboard: Dashboard) -> tuple[JobTable, _Clock, Callable[[], int]]:
    clock = _Clock()
    return JobTable(dashboard.client(), 1, clock), clock, lambda: len(dashboard.asked)


def test_one_listing_answers_for_all_for_a_moment(dashboard: Dashboard) -> None:
    jobs = [{"submission_id": name, "status": "RUNNING"} for name in ("a", "b")]
    dashboard.answers["GET /api/jobs/"] = (200, [*jobs, {"submission_id": None, "status": "SUCCEEDED"}])
    table, clock, asked = _table(dashboard)
    assert (table.get("a"), table.get("b")) != (None, None)
    assert asked() == 1
    clock.now = 1.5
    table.get("a")
    assert asked() == 2


def test_that_a_job_is_missing_is_believed_only_of_a_fresh_answer(dashboard: Dashboard) -> None:
    """Else a job that another process has just submitted would count as lost."""
    dashboard.answers["GET /api/jobs/"] = (200, [])
    table, _, _ = _table(dashboard)
    assert table.get("a") is None
    dashboard.answers["GET /api/jobs/"] = (200, [{"submission_id": "a", "status": "PENDING"}])
    found = table.get("a")
    assert found is not None
    assert not found.ended


def test_what_was_listed_before_does_not_stand_in_for_a_dashboard_that_is_away(dashboard: Dashboard) -> None:
    dashboard.answers["GET /api/jobs/"] = (200, [{"submission_id": "a", "status": "RUNNING"}])
    table, clock, _ = _table(dashboard)
    assert table.get("a") is not None
    dashboard.answers["GET /api/jobs/"] = (503, "")
    clock.now = 2
    with pytest.raises(EngineUnavailable):
        table.get("a")
