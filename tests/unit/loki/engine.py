"""A stand-in for a Docker engine: an HTTP server on a unix socket that knows a few containers.

Its answers have the shape that the Docker Engine API's own description gives them; `SPEC` is what this part of it demands,
written down by hand from version 1.51 (github.com/moby/moby, api/docs/v1.51.yaml: ContainerList, ContainerKill, ContainerStart,
SystemVersion, ContainerSummary, ErrorResponse). Every answer is checked against it before it is sent, every request as it comes.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "1.51"
STATES = ("created", "running", "paused", "restarting", "exited", "removing", "dead")
FILTERS = {"label", "status", "id", "name", "ancestor", "before", "since", "exited", "health", "network", "volume"}
SUMMARY: dict[str, type] = {
    "Id": str, "Names": list, "Image": str, "ImageID": str, "Command": str, "Created": int, "Ports": list, "Labels": dict,
    "State": str, "Status": str, "HostConfig": dict, "NetworkSettings": dict, "Mounts": list,
}  # fmt: skip
SPEC: dict[tuple[str, str], dict[str, Any]] = {
    ("GET", "/version"): {"query": set(), "codes": {200, 500}},
    ("GET", "/containers/json"): {"query": {"all", "limit", "size", "filters"}, "codes": {200, 400, 500}},
    ("POST", "/containers/{id}/kill"): {"query": {"signal"}, "codes": {204, 404, 409, 500}},
    ("POST", "/containers/{id}/start"): {"query": {"detachKeys"}, "codes": {204, 304, 400, 404, 500}},
}
# The package docker sends a parameter that the description no longer has: an engine ignores it.
IGNORED = {"trunc_cmd"}


class Engine:
    """The containers and what was asked for. `fail` makes the next calls of an operation answer with that code."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.containers: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.fail: dict[str, tuple[int, str]] = {}
        self.broken_rules: list[str] = []
        self._server: Any = None

    def add(self, name: str, labels: dict[str, str], state: str = "running", status: str = "Up 2 minutes") -> str:
        """A container; its id."""
        number = f"{len(self.containers) + 1:064x}"
        self.containers[number] = {
            "Id": number, "Names": [f"/{name}"], "Image": "kafka:4", "ImageID": "sha256:00", "Command": "run", "Created": 1_700_000_000,
            "Ports": [], "Labels": labels, "State": state, "Status": status, "HostConfig": {"NetworkMode": "bridge"},
            "NetworkSettings": {"Networks": {}}, "Mounts": [],
        }  # fmt: skip
        return number

    def __enter__(self) -> Engine:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._any("GET")

            def do_POST(self) -> None:
                self._any("POST")

            def _any(self, verb: str) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                code, body = engine.answer(verb, self.path)
                content = b"" if body is None else json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Api-Version", API)
                if code not in (204, 304):
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = socketserver.ThreadingUnixStreamServer(str(self.socket), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert not self.broken_rules, self.broken_rules

    def answer(self, verb: str, path: str) -> tuple[int, Any]:
        """What an engine answers; noted where the request or the answer is not as the description has it."""
        url = urlsplit(path)
        words = url.path
        if match := re.match(r"/v(1\.[0-9]+)(/.*)", words):
            words = match[2]
        found = re.fullmatch(r"/containers/([^/]+)/(kill|start)", words)
        operation = f"/containers/{{id}}/{found[2]}" if found else words
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append((verb, operation, query))
        spec = SPEC.get((verb, operation))
        if spec is None:
            self._note(f"the description has no {verb} {operation}")
            return 404, {"message": "page not found"}
        unknown = set(query) - spec["query"] - IGNORED
        self._check(not unknown, f"{verb} {operation} has no parameter {unknown}")
        code, body = self.fail.get(operation) or self._do(operation, found[1] if found else "", query)
        if isinstance(body, str):
            body = {"message": body}  # ErrorResponse: `message` is required
        self._check(code in spec["codes"], f"{verb} {operation} does not answer {code}")
        self._check(
            (body is None) == (code in (204, 304)), f"{code} of {operation} {'has a' if body else 'lacks its'} body"
        )
        return code, body

    def _do(self, operation: str, name: str, query: dict[str, str]) -> tuple[int, Any]:
        if operation == "/version":
            return 200, {
                "ApiVersion": API,
                "MinAPIVersion": "1.24",
                "Version": "28.3.0",
                "Os": "linux",
                "Arch": "amd64",
            }
        if operation == "/containers/json":
            return 200, self._listed(query)
        container = next((c for c in self.containers.values() if name in (c["Id"], c["Names"][0][1:])), None)
        if container is None:
            return 404, f"No such container: {name}"
        if operation.endswith("/kill"):
            if container["State"] not in ("running", "paused", "restarting"):
                return 409, f"cannot kill container: {name}: container {name} is not running"
            if query.get("signal", "SIGKILL") == "SIGKILL":
                container.update(State="exited", Status="Exited (137) 1 second ago")
            return 204, None
        if container["State"] == "running":
            return 304, None
        container.update(State="running", Status="Up 1 second")
        return 204, None

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        filters = json.loads(query.get("filters", "{}"))
        self._check(set(filters) <= FILTERS, f"ContainerList has no filter {set(filters) - FILTERS}")
        self._check(all(isinstance(v, list) for v in filters.values()), "filters are a map[string][]string")
        states = filters.get("status") or (STATES if query.get("all") in ("1", "true", "True") else ("running",))
        self._check(set(states) <= set(STATES), f"no container is ever {set(states) - set(STATES)}")
        listed = [
            c
            for c in self.containers.values()
            if c["State"] in states and all(_has(c["Labels"], wanted) for wanted in filters.get("label", ()))
        ]
        for container in listed:
            right = container.keys() == SUMMARY.keys() and all(isinstance(container[k], t) for k, t in SUMMARY.items())
            self._check(right and container["State"] in STATES, f"{container} is no ContainerSummary")
        return listed

    def _check(self, holds: bool, rule: str) -> None:
        if not holds:
            self._note(rule)

    def _note(self, rule: str) -> None:
        self.broken_rules.append(rule)


def _has(labels: dict[str, str], wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)
