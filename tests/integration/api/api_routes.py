"""The routes of an application, with those of the routers it includes."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Route

from zhisuan.api.auth import Rule

FRAMEWORK = {"/api/v1/openapi.json", "/api/v1/docs", "/docs/oauth2-redirect"}


@dataclass(frozen=True)
class Found:
    method: str
    path: str
    dependant: Dependant

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def rules(self) -> list[Rule]:
        return list(_rules(self.dependant))

    @property
    def headers(self) -> set[str]:
        return {p.alias.lower() for d in _all(self.dependant) for p in d.header_params if p.field_info.is_required()}


def routes_of(app: FastAPI) -> list[Found]:
    found = []
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute):
            assert isinstance(context.original_route, Route) and context.path in FRAMEWORK, context.path
            continue
        found += [Found(method, context.path, context.dependant) for method in sorted(context.methods or ())]
    return found


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _all(inner)


def _rules(dependant: Dependant) -> Iterator[Rule]:
    for each in _all(dependant):
        if isinstance(each.call, Rule):
            yield each.call
