"""Runs the proofs in their full counts and writes what came out: `python -m tests.proof [NAME…]`, all of them by default.

A proof is a module with `prove()`, which gives its figures and what went wrong, in sentences. The figures go to
docs/proof/NAME.json with the date, the machine's cores and the versions that they hold for.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from asgard.kafka.distribution.jars import DEFAULT_VERSION
from asgard.kafka.distribution.java import find_java

PROOFS = {
    "lease-fight": "tests.proof.lease_fight",
    "kill-steps": "tests.proof.kill_steps",
    "feature-upgrade": "tests.proof.feature_upgrade",
    "tls": "tests.proof.tls",
    "roles": "tests.proof.roles",
    "fresh-clone": "tests.proof.fresh_clone",
    "thor-plans": "tests.proof.thor_plans",
    "thor-kill-steps": "tests.proof.thor_kill_steps",
    "thor-handover": "tests.proof.thor_handover",
    "thor-drills": "tests.proof.thor_drills",
    "thor-watch": "tests.proof.thor_watch",
    "thor-archive": "tests.proof.thor_archive",
    "loki-check": "tests.proof.loki_check",
    "loki-load": "tests.proof.loki_load",
    "loki-chaos-kills": "tests.proof.loki_chaos_kills",
    "loki-drills": "tests.proof.loki_drills",
    "bifrost": "tests.proof.bifrost",
    "aws-user-data": "tests.proof.aws_user_data",
    "multi-host": "tests.proof.multi_host",
    "heimdall-audit": "tests.proof.heimdall_audit",
    "heimdall-retention": "tests.proof.heimdall_retention",
    "heimdall-store": "tests.proof.heimdall_store",
    "heimdall-truth": "tests.proof.heimdall_truth",
    "thor-replay": "tests.proof.thor_replay",
    "pages": "tests.proof.pages",
    "properties": "tests.proof.properties",
    "suite": "tests.proof.suite",
}
OUT = Path(__file__).parents[2] / "docs" / "proof"
LIBRARIES = ("pulumi", "kafka-python", "confluent-kafka", "SQLAlchemy", "msgspec")


def machine() -> dict[str, object]:
    """What the figures hold for."""
    java = find_java()
    versions: dict[str, object] = {"python": platform.python_version(), "kafka": DEFAULT_VERSION, "java": java.version}
    versions |= {library: version(library) for library in LIBRARIES}
    return {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "cores": os.cpu_count(), "versions": versions}


def main() -> int:
    """Run the proofs that were named; 1 where any of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}")
    names = parser.parse_args().names or list(PROOFS)
    if unknown := set(names) - set(PROOFS):
        parser.error(f"there is no proof {', '.join(sorted(unknown))}; there are {', '.join(PROOFS)}")
    failed = []
    for name in names:
        began = time.monotonic()
        figures, wrong = importlib.import_module(PROOFS[name]).prove()
        took = round(time.monotonic() - began, 1)
        document = {"proof": name, **machine(), "passed": not wrong, "took_s": took, "figures": figures, "wrong": wrong}
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
        print(f"{name}: {'passed' if not wrong else 'FAILED'} in {took} s", *wrong, sep="\n  ", flush=True)
        failed += [name] if wrong else []
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
