"""The portal's pages with 5,000 topics of 300 teams: the time of one answer, in one process, without a browser. And `asgard bifrost mine`
as a whole command with the same teams, against the interpreter's own start.
"""

from __future__ import annotations

import getpass
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOPICS, TEAMS, RUNS = 5000, 300, 11
GOAL_S = 0.5
MEMBERS = {8: getpass.getuser()}


def main() -> None:
    """Print the median of nine answers for each page."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASGARD_HOME"] = str(Path(folder) / "home")
        measure(Path(folder))
        whole_command(Path(folder) / "bifrost.yaml")


def measure(folder: Path) -> None:
    """Make the store and ask."""
    from asgard.bifrost import tokens
    from asgard.bifrost.desired import Desired, GrantRow, TopicRow
    from asgard.bifrost.gate import opened
    from asgard.bifrost.store import rows
    from asgard.compose import web

    teams = "".join(
        f"  - {{name: t{n}, namespaces: [t{n}.], members: [{{name: {MEMBERS.get(n, f'm{n}')}, role: owner}}]}}\n"
        for n in range(TEAMS)
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
        client = web.create_app(gate, web.Work()).test_client()
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


def whole_command(config: Path) -> None:
    """Print the medians of runs in turn."""
    asgard = str(Path(sys.executable).with_name("asgard"))
    commands = {
        "the interpreter": [sys.executable, "-c", "pass"],
        "asgard bifrost mine": [asgard, "bifrost", "mine", "--config", str(config)],
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            took[name].append(time.perf_counter() - began)
    bare, ours = (statistics.median(times) for times in took.values())
    print(
        f"asgard bifrost mine: {ours:.2f} s, the interpreter's own start {bare:.2f} s: {ours - bare:.2f} s above (goal: {GOAL_S})"
    )


if __name__ == "__main__":
    main()
