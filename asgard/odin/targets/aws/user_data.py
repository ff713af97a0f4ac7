"""The script that turns a new instance into a Kafka node: rendered here, run by cloud-init when the instance first boots.

The instance is replaceable; its volume (data) and network interface (address) are not. The script attaches both, mounts
the volume by its id, and formats only an empty one. It can run again at any point.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

from asgard.core.errors import WrongUsage
from asgard.odin.spec.aws import CLIENT_PORT, CONTROLLER_PORT, NodePlan

LIMIT_BYTES = 16 * 1024
"""EC2's limit for user data, before base64."""
COMMAND = "/usr/local/sbin/asgard-node"
"""Path of the script on the instance; it may be run again by hand."""
DATA_DIR = "/var/lib/kafka"
SECRET_KEYS = ("admin_password", "controller_password", "keystore", "truststore")
"""What a node's secret holds: two passwords, its certificate chain with key (PEM), the CA's certificate (PEM)."""


@dataclass(frozen=True)
class InitialController:
    """A controller of the first quorum: node id, private name, directory id."""

    id: int
    host: str
    directory_id: str


@dataclass(frozen=True)
class Boot:
    """Everything that a node needs to start. Nothing in it is secret; `secret` is the secret's ARN, `secret_version` the id of its version.

    `distribution` is an s3:// URL with its SHA-256; `heap_bytes` 0 leaves the choice to the script: half of the memory,
    6 GiB at most, since the page cache serves Kafka better than a large heap.
    """

    node: NodePlan
    cluster_id: str
    version: str
    host: str
    rack: str
    region: str
    volume: str
    interface: str
    secret: str
    secret_version: str
    distribution: str
    distribution_sha256: str
    voters: tuple[InitialController, ...]
    admin_user: str
    heap_bytes: int = 0
    replication: int = 3
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def initial_controllers(self) -> str:
        """The first quorum in the form of Kafka's StorageTool."""
        return ",".join(f"{v.id}@{v.host}:{CONTROLLER_PORT}:{v.directory_id}" for v in self.voters)


def server_properties(boot: Boot) -> dict[str, str]:
    """The node's configuration without secrets; the script adds the lines that hold passwords.

    Clients and brokers speak SASL_SSL with SCRAM-SHA-512, controllers SASL_SSL with PLAIN (SCRAM can't bootstrap a quorum).
    """
    node = boot.node
    listeners = []
    if "broker" in node.roles:
        listeners.append(f"CLIENT://0.0.0.0:{CLIENT_PORT}")
    if node.is_controller:
        listeners.append(f"CONTROLLER://0.0.0.0:{CONTROLLER_PORT}")
    advertised = [f"CLIENT://{boot.host}:{CLIENT_PORT}"] if "broker" in node.roles else []
    if node.is_controller:
        advertised.append(f"CONTROLLER://{boot.host}:{CONTROLLER_PORT}")
    count = str(boot.replication)
    least = str(min(2, boot.replication))
    own = {
        "process.roles": ",".join(node.roles),
        "node.id": str(node.id),
        "listeners": ",".join(listeners),
        "advertised.listeners": ",".join(advertised),
        "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:SASL_SSL",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": ",".join(f"{v.host}:{CONTROLLER_PORT}" for v in boot.voters),
        "log.dirs": f"{DATA_DIR}/data",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.client.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.truststore.type": "PEM",
        "ssl.keystore.location": f"{DATA_DIR}/secrets/keystore.pem",
        "ssl.truststore.location": f"{DATA_DIR}/secrets/truststore.pem",
        "ssl.client.auth": "none",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{boot.admin_user};User:controller",
        "allow.everyone.if.no.acl.found": "false",
        "auto.create.topics.enable": "false",
        "default.replication.factor": count,
        "min.insync.replicas": least,
        "offsets.topic.replication.factor": count,
        "transaction.state.log.replication.factor": count,
        "transaction.state.log.min.isr": least,
        "share.coordinator.state.topic.replication.factor": count,
        "share.coordinator.state.topic.min.isr": least,
    }
    if "broker" in node.roles:
        own |= {"inter.broker.listener.name": "CLIENT", "broker.rack": boot.rack}
    clash = sorted((set(own) - _OVERRIDABLE) & set(boot.config))
    if clash:
        raise WrongUsage(f"Asgard itself sets {', '.join(clash)} of a node", "Remove it from kafka.config.")
    return own | dict(boot.config)


_OVERRIDABLE = frozenset(
    {
        "auto.create.topics.enable",
        "default.replication.factor",
        "min.insync.replicas",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
        "share.coordinator.state.topic.replication.factor",
        "share.coordinator.state.topic.min.isr",
    }
)


def script(boot: Boot) -> str:
    """The script as text."""
    import jinja2

    text = resources.files("asgard.odin.targets.aws").joinpath("user_data.sh.j2").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["sh"] = _quoted
    properties = "".join(f"{key}={value}\n" for key, value in server_properties(boot).items())
    return environment.from_string(text).render(boot=boot, properties=properties, data_dir=DATA_DIR)


def cloud_config(boot: Boot) -> str:
    """What cloud-init gets: the script as a file, and the command that runs it."""
    packed = base64.b64encode(gzip.compress(script(boot).encode(), mtime=0)).decode()
    return (
        "#cloud-config\n"
        "write_files:\n"
        f"  - path: {COMMAND}\n"
        "    owner: root:root\n"
        '    permissions: "0700"\n'
        "    encoding: gz+b64\n"
        f"    content: {packed}\n"
        "runcmd:\n"
        f"  - [{COMMAND}]\n"
    )


def user_data(boot: Boot) -> str:
    """The same in the form EC2 takes: base64. Raises WrongUsage if it is too long."""
    text = cloud_config(boot).encode()
    if len(text) > LIMIT_BYTES:
        raise WrongUsage(
            f"the configuration of node {boot.node.id} makes its user data {len(text)} bytes, EC2 takes {LIMIT_BYTES}",
            "Make kafka.config shorter.",
        )
    return base64.b64encode(text).decode()


def _quoted(value: object) -> str:
    import shlex

    return shlex.quote(str(value))
