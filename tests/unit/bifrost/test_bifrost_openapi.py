"""Schemathesis over the OpenAPI document of a running portal: no 5xx, no answer that the document doesn't have."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from asgard.bifrost.web.acts import ACTS
from asgard.bifrost.web.api import ASKING, LOOKS
from tests.unit.bifrost.portal_world import World, portal

EXAMPLES = int(os.environ.get("ASGARD_API_EXAMPLES", "3"))


@contextmanager
def running(world: World) -> Iterator[str]:
    """The portal on a free port of this machine; its address."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with portal(tmp_path, monkeypatch) as made:
        monkeypatch.setattr("asgard.bifrost.web.guard.limiter.enabled", False)
        yield made


def test_no_answer_is_a_fault_and_each_is_documented(world: World) -> None:
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    looked_at = (
        not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
        checks.response_schema_conformance, checks.ignored_auth, checks.unsupported_method,
    )  # fmt: skip
    it = world.things("orders")
    known = {"user": it.user, "name": it.topic.name, "team": "orders", "grant_id": it.grant.id,
             "request_id": it.request.id, "token_id": it.token}  # fmt: skip
    tried: list[str] = []

    def trying(headers: dict[str, str]) -> Any:
        def one(case: Any) -> None:
            if len(tried) % 2:  # every second one is about something that is there
                case.path_parameters = {k: known.get(k, v) for k, v in (case.path_parameters or {}).items()}
            tried.append(f"{case.method} {case.path}")
            case.validate_response(case.call(headers=headers), checks=looked_at, headers=headers)

        return one

    quick = settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    with running(world) as url:
        schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
        # A data engineer comes furthest; a member takes what only members may.
        people = [{"Authorization": f"Bearer {world.token(name)}"} for name in ("linus", "edgar")]
        for found in schema.get_all_operations():
            operation = found.ok()
            for headers in people:
                quick(given(case=operation.as_strategy())(trying(headers)))()
    assert len(set(tried)) == len(LOOKS) + len(ACTS) + len(ASKING)
