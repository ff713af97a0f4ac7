"""Makes `asgard/odin/resources/data/configs.json`: every topic and broker config of the Kafka versions that Asgard knows.

Give it one directory of jars a version, oldest first; Java 17+ runs `KafkaConfigs.java` beside this file against each:

    python tools/kafka_configs.py 3.9=LIBS 4.0=LIBS 4.1=LIBS 4.2=LIBS 4.3=LIBS > asgard/odin/resources/data/configs.json
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

RANGE = re.compile(r"\[(?:(-?[\d.]+),)?\.\.\.(?:,(-?[\d.]+))?\](?: or (-?\d+))?")


def dump(libs: str) -> list[dict[str, Any]]:
    """Every config of one Kafka."""
    program = Path(__file__).with_name("KafkaConfigs.java")
    done = subprocess.run(["java", "-cp", f"{libs}/*", str(program)], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compact(key: dict[str, Any]) -> dict[str, Any]:
    """What the table keeps of a config; what says nothing is left out."""
    entry: dict[str, Any] = {"type": key["type"].lower(), "default": key["default"]}
    values = re.fullmatch(r"\[(.*)\]", key["shown"])
    if match := RANGE.fullmatch(key["shown"]):
        low, high, other = match.groups()
        entry |= {"min": low and float(low), "max": high and float(high), "or": other and float(other)}
    elif values and values[1] and key["validator"] in ("ValidList", "ValidString"):
        entry["values"] = values[1].split(", ")
    if key["kind"] == "broker" and key["mode"] != "read-only":
        entry["mode"] = key["mode"]
    whole = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in entry.items()}
    return {k: v for k, v in whole.items() if v is not None}


def table(versions: dict[str, str]) -> dict[str, Any]:
    """Kind to name to its definitions, each with the versions that have it."""
    result: dict[str, Any] = {"versions": list(versions), "topic": {}, "broker": {}}
    for version, libs in versions.items():
        for key in dump(libs):
            entry = compact(key)
            known = result[key["kind"]].setdefault(key["name"], [])
            if known and {**known[-1], "in": None} == {**entry, "in": None}:
                known[-1]["in"].append(version)
            else:
                known.append({"in": [version], **entry})
    for kind in ("topic", "broker"):
        for definitions in result[kind].values():
            for definition in definitions:
                if definition["in"] == result["versions"]:
                    del definition["in"]
    return result


def main() -> None:
    """One line a config, so that a new Kafka is a diff to read."""
    result = table(dict(argument.split("=", 1) for argument in sys.argv[1:]))
    kinds = [
        f"{json.dumps(kind)}: {{\n"
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(result[kind][name])}" for name in sorted(result[kind]))
        + "\n}"
        for kind in ("topic", "broker")
    ]
    print(f'{{"versions": {json.dumps(result["versions"])},\n{kinds[0]},\n{kinds[1]}}}')


if __name__ == "__main__":
    main()
