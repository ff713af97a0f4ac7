"""User data run for real: a node comes up in a clean Debian root, its successor keeps the data, no volume that holds anything is formatted."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from asgard.core import paths
from asgard.kafka.connection import FIRST_USER
from asgard.kafka.distribution.home import ensure_kafka
from asgard.machines.local.certificates import Authority
from asgard.machines.local.spec import random_uuid
from asgard.odin.spec.aws import NodePlan
from asgard.odin.targets.aws import distribution
from asgard.odin.targets.aws.user_data import Boot, InitialController, cloud_config, script
from tests.harness.ec2_instance import SECRET_VERSION, Instance, Volume, debian_root, missing_tools

HOST = "node-1.orders.kafka.internal"
SIZE = 1024**3
HEAP_BYTES = 256 * 1024**2
PASSWORD = "correct-horse"
TOPIC, RECORDS = "orders.created", 200
_CLIENT = f"""\
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="{FIRST_USER}" password="{PASSWORD}";
ssl.truststore.type=PEM
ssl.truststore.location=/var/lib/kafka/secrets/truststore.pem
"""


@dataclass
class Lab:
    """The root that instances boot in, what they are handed, and what came of it."""

    root: Path
    here: Path
    text: str
    archive: Path
    secret: str
    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def booted(self, name: str, volume: Volume) -> Iterator[tuple[Instance, subprocess.CompletedProcess[str]]]:
        """A new instance with that volume, after its first run of the script; it is killed afterwards."""
        where = self.here / name
        where.mkdir(exist_ok=True)
        with volume.attached() as device:
            instance = Instance(self.root, where, f"127.0.0.1 {HOST}\n", self.secret, self.archive, device)
            try:
                yield instance, instance.boot(self.text)
            finally:
                instance.close()

    def comes_up(self, name: str, instance: Instance, done: subprocess.CompletedProcess[str]) -> bool:
        """Note how a boot went; whether Kafka serves after it."""
        self.figures[name] = {"exit_code": done.returncode, "said": _said(done)}
        up = done.returncode == 0 and _serves(instance)
        if not up:
            self.wrong.append(f"Kafka did not come up after the {name}: {done.stderr[-500:]} {_log(instance)}")
        return up


def prove() -> tuple[dict[str, Any], list[str]]:
    """The figures, and what went wrong."""
    if missing := missing_tools():
        return {"skipped": f"this machine lacks {', '.join(missing)}"}, [f"not run: {', '.join(missing)} missing"]
    with TemporaryDirectory(prefix="asgard-ec2-") as temporary:
        here = Path(temporary)
        boot, archive, secret = _prepared(here)
        lab = Lab(debian_root(paths.cache()), here, script(boot), archive, secret)
        lab.figures["user_data_bytes"] = len(lab.text)
        volume = Volume.create(here / "volume.img", SIZE)
        _first_boot(lab, volume)
        _second_boot(lab, volume)
        _never_formatted(lab)
    lab.figures["shellcheck"] = _clean(["shellcheck", "-"], lab.text, lab.wrong)
    lab.figures["cloud_init_schema"] = _schema(boot, lab.wrong)
    return lab.figures, lab.wrong


def _prepared(here: Path) -> tuple[Boot, Path, str]:
    kafka = ensure_kafka()
    jars = Path(kafka.classpath.removesuffix("*")).glob("*.jar")
    archive, digest = distribution.pack(jars, here / "distribution", kafka.version)
    directory = random_uuid()
    boot = Boot(
        node=NodePlan(1, ("broker", "controller"), 0),
        cluster_id=random_uuid(),
        version=kafka.version,
        host=HOST,
        rack="euc1-az1",
        region="eu-central-1",
        volume="vol-0test",
        interface="eni-0test",
        secret="arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-1",
        secret_version=SECRET_VERSION,
        distribution=f"s3://orders/distribution/{archive.name}",
        distribution_sha256=digest,
        voters=(InitialController(1, HOST, directory),),
        admin_user=FIRST_USER,
        heap_bytes=HEAP_BYTES,
        replication=1,
    )
    authority = Authority(here / "tls")
    ca = authority.trusted()
    held = {
        "admin_password": PASSWORD,
        "controller_password": "staple-battery",
        "keystore": authority.node("node-1", [HOST]).store,
        "truststore": ca,
    }
    return boot, archive, json.dumps(held)


def _first_boot(lab: Lab, volume: Volume) -> None:
    with lab.booted("first_boot", volume) as (instance, done):
        if not lab.comes_up("first_boot", instance, done):
            return
        again = instance.boot(lab.text)
        if again.returncode or "kept" not in again.stderr or not _serves(instance):
            lab.wrong.append(f"running the script again did harm: {again.stderr[-500:]}")
        _tool(instance, "TopicCommand", "--create", "--topic", TOPIC, "--partitions", "1")
        lines = "".join(f"order-{i}\n" for i in range(RECORDS))
        _tool(instance, "ConsoleProducer", "--topic", TOPIC, "--command-property", "acks=all", text=lines)
        arguments = instance.run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).stdout
        if PASSWORD in arguments:
            lab.wrong.append("a password stands among a process's arguments")
        if f"-Xmx{HEAP_BYTES}" not in arguments:
            lab.wrong.append("Kafka does not run with the heap that was asked for")
        left = instance.run(
            ["sh", "-c", "ls /var/lib/kafka/secrets; stat -c '%a %U' /etc/kafka/server.properties"]
        ).stdout
        lab.figures["secrets_on_disk"] = left.split("\n")[:-1]
        if "node.json" in left or "add-scram" in left or "600 kafka" not in left:
            lab.wrong.append(f"secrets were left behind: {left}")


def _second_boot(lab: Lab, volume: Volume) -> None:
    """Another instance with the same volume, after the first was killed."""
    with lab.booted("second_boot", volume) as (instance, done):
        if not lab.comes_up("second_boot", instance, done):
            return
        read = _tool(
            instance, "ConsoleConsumer", "--topic", TOPIC, "--from-beginning", "--max-messages", str(RECORDS),
            "--timeout-ms", "60000",
        )  # fmt: skip
        kept = [line for line in read.stdout.split("\n") if line.startswith("order-")]
        lab.figures["records_kept"] = f"{len(kept)} of {RECORDS}"
        if kept != [f"order-{i}" for i in range(RECORDS)]:
            lab.wrong.append(f"the successor has {len(kept)} of {RECORDS} records: {read.stderr[-300:]}")


def _never_formatted(lab: Lab) -> None:
    """Volumes that hold something else: the script stops, and not a byte of them changes."""
    refusals: dict[str, str] = {}
    for name in ("ext4", "partition-table", "bytes-without-a-file-system", "xfs-of-another-cluster"):
        volume = Volume.create(lab.here / f"{name}.img", SIZE)
        _fill(volume, name)
        before = _digest(volume.file) if name != "xfs-of-another-cluster" else ""
        with lab.booted(name, volume) as (_, done):
            pass
        refusals[name] = _said(done)[-1] if _said(done) else ""
        unchanged = name == "xfs-of-another-cluster" or _digest(volume.file) == before
        if done.returncode == 0 or not unchanged:
            lab.wrong.append(f"a volume with {name} was not left alone: {done.stderr[-300:]}")
    lab.figures["refused"] = refusals


def _fill(volume: Volume, name: str) -> None:
    with volume.attached() as device:
        match name:
            case "ext4":
                subprocess.run(["mkfs.ext4", "-q", device], check=True)
            case "partition-table":
                subprocess.run(["sfdisk", "-q", device], input="label: gpt\n,512M\n", text=True, check=True)
            case "bytes-without-a-file-system":
                with Path(device).open("r+b") as raw:
                    raw.seek(4096)
                    raw.write(b"somebody's data")
            case _:
                subprocess.run(["mkfs.xfs", "-q", device], check=True)
                with TemporaryDirectory() as mount:
                    subprocess.run(["mount", device, mount], check=True)
                    data = Path(mount, "data")
                    data.mkdir()
                    (data / "meta.properties").write_text("cluster.id=another\nnode.id=1\nversion=1\n")
                    subprocess.run(["umount", mount], check=True)


def _digest(file: Path) -> str:
    return subprocess.run(["sha256sum", str(file)], check=True, capture_output=True, text=True).stdout.split()[0]


def _serves(instance: Instance, within_s: float = 120) -> bool:
    instance.run(["sh", "-c", f"cat > /tmp/client.properties <<'END'\n{_CLIENT}END"])
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if _tool(instance, "TopicCommand", "--list").returncode == 0:
            return True
        time.sleep(2)
    return False


def _tool(instance: Instance, name: str, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    package = "org.apache.kafka.tools" + (".consumer" if name == "ConsoleConsumer" else "")
    config = "--command-config"
    return instance.run(
        ["sh", "-c", 'exec java -Xmx128m -cp "/opt/kafka/$1/libs/*" "$2" --bootstrap-server "$3:9092" "$4" /tmp/client.properties "$@"'.replace('"$@"', " ".join(arguments)),
         "sh", _version(instance), f"{package}.{name}", HOST, config],
        text=text,
    )  # fmt: skip


def _version(instance: Instance) -> str:
    return next(path.name for path in (instance.root / "opt/kafka").iterdir())


def _log(instance: Instance) -> str:
    return instance.run(["tail", "-n", "5", "/var/log/kafka.log"]).stdout[-800:]


def _said(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix("asgard: ") for line in done.stderr.split("\n") if line.startswith("asgard: ")]


def _clean(command: list[str], text: str, wrong: list[str]) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        wrong.append(f"{command[0]} objects: {done.stdout[:500]}")
    return "clean" if done.returncode == 0 else "not clean"


def _schema(boot: Boot, wrong: list[str]) -> str:
    with TemporaryDirectory() as directory:
        file = Path(directory, "user-data")
        file.write_text(cloud_config(boot))
        return _clean(["cloud-init", "schema", "--config-file", str(file)], "", wrong)
