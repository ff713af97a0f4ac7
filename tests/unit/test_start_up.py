"""What is felt at each start: help comes without the packages that only some commands need."""

from __future__ import annotations

import json
import subprocess
import sys

from asgard.cli.main import COMMANDS

HEAVY = {
    *(
        "boto3",
        "confluent_kafka",
        "cryptography",
        "fastavro",
        "flask",
        "gevent",
        "jinja2",
        "kafka",
        "locust",
        "moto",
        "numpy",
    ),
    *("plotly", "prometheus_client", "psutil", "pulumi", "psycopg", "sqlalchemy", "textual", "waitress", "yaml"),
    "asgard.core.schema.fields",  # Asgard's own models; Typer itself imports pydantic
}
ASK = """
import contextlib, io, json, sys
from asgard.cli.main import main
loaded = {}
for words in json.loads(sys.argv[1]):
    before = set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()) as told:
        code = main([*words, "--help"])
    assert code == 0 and "Usage" in told.getvalue(), (words, code)
    loaded[" ".join(words)] = sorted(set(sys.modules) - before)
print(json.dumps(loaded))
"""


def test_help_of_every_service_imports_nothing_heavy() -> None:
    asked = [[], *([name] for name in COMMANDS), ["odin", "up"], ["thor", "plan"], ["loki", "load", "run"]]
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(asked)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, list[str]] = json.loads(done.stdout)
    assert len(loaded) == len(asked)
    assert {words: found for words, names in loaded.items() if (found := sorted(HEAVY.intersection(names)))} == {}


CLIENT = """
import sys
import asgard.kafka.admin
print("kafka.protocol" in sys.modules, "kafka.producer" in sys.modules)
from kafka import KafkaProducer
import kafka
print(KafkaProducer.__name__, bool(kafka.__version__), "kafka.producer" in sys.modules)
"""


def test_the_control_plane_imports_of_kafka_python_what_it_uses_and_others_get_all_of_it() -> None:
    done = subprocess.run([sys.executable, "-c", CLIENT], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["True", "False", "KafkaProducer", "True", "True"], done.stderr
