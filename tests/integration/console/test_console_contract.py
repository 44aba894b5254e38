"""The double keeps to the platform: each route that it answers is one of the real interface, with the same fields."""

from typing import Any

import console_contract_server as double
import pytest

from zhisuan.api.build import add_api, new_app

REAL: dict[str, Any] = add_api(new_app(), None).openapi()["paths"]  # type: ignore[arg-type]
SERVED = [
    (method.lower(), route.path)
    for route in double.build_double(1).routes
    if getattr(route, "path", "").startswith("/api/v1") and "{action}" not in route.path
    for method in sorted(route.methods - {"HEAD"})
]


def plain(path: str) -> str:
    return "/".join("{}" if step.startswith("{") else step for step in path.split("/"))


@pytest.mark.parametrize(("method", "path"), SERVED)
def test_the_double_has_no_route_of_its_own(method: str, path: str) -> None:
    real = {plain(p): set(methods) for p, methods in REAL.items()}
    assert method in real.get(plain(path), set())


def test_actions_on_sites_are_real() -> None:
    for action in ("verify", "open", "drain", "close"):
        assert "post" in REAL[f"/api/v1/sites/{{site_id}}/{action}"]
