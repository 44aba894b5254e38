"""Requests made from the OpenAPI document, right and wrong: never an error of ours, always a documented form."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from api_city import City, build_city
from api_world import open_world, number
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS
from schemathesis.specs.openapi.checks import content_type_conformance  # noqa: F401 - registers the checks

from zhisuan.testing.database import TestServer
