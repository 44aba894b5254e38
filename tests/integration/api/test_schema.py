"""Requests made from the OpenAPI document, right and wrong: never an error of ours, always an answer of a documented form."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from api_city import City, build_city
from api_world import Person, open_world
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from zhisuan.api.build import add_api, new_app
from zhisuan.testing.database import TestServer

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 6
KINDS = {
    "workload_id": "workload", "artefact_id": "artefact", "deployment_id": "deployment", "invoice_id": "invoice",
    "name": "model_name", "ident": "invoice", "org_id": "org",
}  # fmt: skip


@schemathesis.serializer("application/gzip")
def as_it_is(ctx: Any, value: Any) -> bytes:
    return value.data if hasattr(value, "data") else str(value).encode()


@pytest.fixture(scope="module")
def torn(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city of its own: these tests change everything."""
    with open_world(postgres, tmp_path_factory.mktemp("torn")) as opened:
        yield build_city(opened)


def operations() -> list[Any]:
    document = add_api(new_app(), None).openapi()  # type: ignore[arg-type]
    found = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
    # An open stream never ends by itself, and signing out would end the caller of the tests that follow.
    return [
        op
        for op in found
        if op.label not in ("GET /api/v1/workloads/{workload_id}/watch", "DELETE /api/v1/sessions/current")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("operation", operations(), ids=lambda op: op.label)
def test_no_request_is_an_error_of_ours(torn: City, operation: Any) -> None:
    people = [torn.one.owner, torn.world.operator, torn.site.provider]
    ids = torn.one.ids | {"provider": torn.site.provider.org_id}
    real = {p.name: ids[KINDS[p.name]] for p in operation.path_parameters.items if p.name in KINDS}
    if any(p.name in ("site_id", "provider_id", "key_id") for p in operation.path_parameters.items):
        real = {}
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        # Of bytes none are wrong by the schema.
        shaped = [b for b in operation.body if b.media_type != "application/octet-stream" or operation.path_parameters]
        if mode is GenerationMode.NEGATIVE and not shaped and not operation.query:
            continue
        strategy = operation.as_strategy(generation_mode=mode, path_parameters=real or None)

        @settings(
            max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
        )
        @given(case=strategy)
        def run(case: Any) -> None:
            for person in people:
                send(person, case)

        run()


def send(person: Person, case: Any) -> None:
    kwargs = case.as_transport_kwargs(base_url="http://testserver")
    headers = {
        k: v for k, v in kwargs.pop("headers").items() if v is not None and str(v).isascii() and str(v).isprintable()
    }
    kwargs.pop("cookies", None)
    if isinstance(kwargs.get("data"), bytes | str):
        kwargs["content"] = kwargs.pop("data")
    answer = person.client.request(**kwargs, headers=headers | {"Authorization": f"Bearer {person.key}"})
    case.validate_response(answer, checks=CHECKS)


def test_the_document_names_problems_everywhere() -> None:
    document = add_api(new_app(), None).openapi()  # type: ignore[arg-type]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert "application/problem+json" in operation["responses"]["4XX"]["content"], (method, path)
            assert "HTTPValidationError" not in str(operation)
