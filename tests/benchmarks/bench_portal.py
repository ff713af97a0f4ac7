"""The portal's pages with 5,000 topics of 300 teams: the time of one answer, in one process, without a browser."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

TOPICS, TEAMS = 5000, 300


def main() -> None:
    """Print the median of nine answers for each page."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASGARD_HOME"] = str(Path(folder) / "home")
        measure(Path(folder))


def measure(folder: Path) -> None:
    """Make the store and ask."""
    from asgard.bifrost import tokens
    from asgard.bifrost.desired import Desired, GrantRow, TopicRow
    from asgard.bifrost.gate import opened
    from asgard.bifrost.store import rows
    from asgard.compose import web

    teams = "".join(
        f"  - {{name: t{n}, namespaces: [t{n}.], members: [{{name: m{n}, role: owner}}]}}\n" for n in range(TEAMS)
    )
    (folder / "bifrost.yaml").write_text(f"environments: [{{name: dev, stack: asgard.yaml}}]\nteams:\n{teams}")
    (folder / "policy.yaml").write_text("rules: [{name: all, then: allow}]\n")
    for name in ("bifrost.yaml", "policy.yaml"):
        (folder / name).chmod(0o644)
    with opened(folder / "bifrost.yaml") as gate:
        desired = Desired()
        changed = []
        for n in range(TOPICS):
            team = f"t{n % TEAMS}"
            topic = TopicRow(f"{team}.events.{n}", team, partitions=3, description=f"events number {n}")
            grant = GrantRow(f"{team}.api", "consume", topic.name, f"g-{n}", team, team, None, None, "", "bifrost", 0.0)
            changed += [desired.put("topic", topic.name, topic), desired.put("grant", grant.key, grant)]
        with gate.store.write() as connection:
            rows.save(connection, "dev", desired, changed, 0.0)
        client = web.create_app(gate, web.PortalWork()).test_client()
        _, secret = tokens.make(gate, gate.directory.actor("m7"), scope="full", lasts_s=1e4)
        client.application.config["WTF_CSRF_ENABLED"] = False
        client.post("/login", data={"token": secret})
        for path in (
            "/bifrost/catalog",
            "/bifrost/catalog?search=events+4711",
            "/bifrost/catalog?page=25",
            "/bifrost/mine",
        ):
            took, busy = [], []
            for _ in range(9):
                began, cpu = time.perf_counter(), time.process_time()
                answer = client.get(path)
                took.append(time.perf_counter() - began)
                busy.append(time.process_time() - cpu)
                assert answer.status_code == 200
            print(
                f"{path:40} {statistics.median(took) * 1000:7.0f} ms, {statistics.median(busy) * 1000:5.0f} ms of a core {len(answer.data) / 1024:7.0f} KiB"
            )


if __name__ == "__main__":
    main()
