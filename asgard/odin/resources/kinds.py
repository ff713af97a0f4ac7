"""The table of Odin's resource types: every property, its type, whether it is secret and what a change of it means.

The provider's checks, its diffs, the drift report and the Pulumi schema are all derived from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

TOPIC = "asgard:kafka:Topic"
USER = "asgard:kafka:User"
ACL = "asgard:kafka:Acl"
QUOTA = "asgard:kafka:Quota"
CONFIG = "asgard:kafka:Config"
CLUSTER = "asgard:local:Cluster"
BROKER = "asgard:local:Broker"
READY = "asgard:local:Ready"
ALLOCATION = "asgard:aws:Allocation"


FieldType = Literal["string", "integer", "number", "boolean", "map", "strings", "integers", "nodes"]


@dataclass(frozen=True)
class Field:
    """One property.

    `replaces`: another value means a new resource. `hint`: controls how a change is made, isn't part of the resource,
    and is not a difference by itself. `output`: only the provider sets it. `watched`: an output that drift reports;
    `optional`: one that isn't always there. `among`: the allowed values; `least`: the smallest.
    """

    name: str
    type: FieldType
    about: str
    required: bool = False
    secret: bool = False
    replaces: bool = False
    hint: bool = False
    output: bool = False
    watched: bool = False
    optional: bool = False
    default: Any = None
    among: tuple[str, ...] = ()
    least: float | None = None


@dataclass(frozen=True)
class Kind:
    """A resource type."""

    token: str
    about: str
    fields: tuple[Field, ...]

    @cached_property
    def inputs(self) -> tuple[Field, ...]:
        """What a program sets."""
        return tuple(field for field in self.fields if not field.output)

    @cached_property
    def secrets(self) -> frozenset[str]:
        """The properties that never leave the process in the clear."""
        return frozenset(field.name for field in self.fields if field.secret)

    def field(self, name: str) -> Field | None:
        """The property of that name."""
        return next((field for field in self.fields if field.name == name), None)


RESOURCE_TYPES = ("TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER")
OPERATIONS = (
    *("ALL", "READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "CLUSTER_ACTION", "DESCRIBE_CONFIGS"),
    *("ALTER_CONFIGS", "IDEMPOTENT_WRITE", "CREATE_TOKENS", "DESCRIBE_TOKENS", "TWO_PHASE_COMMIT"),
)
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")

_NODE_FIELDS = (
    Field(
        "roles", "strings", "`broker`, and `controller` on a node that is also in the metadata quorum.", required=True
    ),
    Field("rack", "string", "`broker.rack`."),
    Field("brokerPort", "integer", "Port of the client listener on 127.0.0.1.", required=True),
    Field("controllerPort", "integer", "Port of the controller listener; 0 on a node without that role.", default=0),
    Field("directoryId", "string", "Id of the log directory (KIP-853).", required=True, replaces=True),
)

_SECURITY_FIELDS = (
    Field("sasl", "string", "How clients authenticate.", default="scram-sha-512", among=("scram-sha-512", "none")),
    Field("authorizer", "boolean", "Whether ACLs are enforced.", default=True),
    Field(
        "tls",
        "string",
        "`on`: every listener is encrypted. `optional`: those without TLS stay open beside them. A change of a live cluster "
        "restarts its nodes one by one, two or three times.",
        among=("off", "optional", "on"),
    ),
)

_TLS_FIELDS = (
    Field("tlsPort", "integer", "Port of the client listener with TLS."),
    Field("certificatePort", "integer", "Port of the listener for users who log in by certificate."),
    Field("tlsControllerPort", "integer", "Port of the controller listener with TLS; 0 on a node without that role."),
    Field("tlsControllers", "string", "`initialControllers` at their ports with TLS.", hint=True),
)

KINDS: dict[str, Kind] = {
    kind.token: kind
    for kind in (
        Kind(
            TOPIC,
            "A topic. More partitions and configs are changed in place, another replication factor by a throttled reassignment; "
            "fewer partitions are refused. A topic that holds records is deleted only when data loss was allowed for its name.",
            (
                Field("name", "string", "Name of the topic.", required=True, replaces=True),
                Field("partitions", "integer", "How many partitions.", required=True, least=1),
                Field("replication", "integer", "Replication factor.", required=True, least=1),
                Field("config", "map", "Configs that are set on the topic itself, as Kafka spells them.", default={}),
                Field(
                    "throttle",
                    "integer",
                    "Bytes/s and broker for a change of the replication factor.",
                    hint=True,
                    least=1,
                ),
                Field("topicId", "string", "Kafka's id of the topic.", output=True, watched=True),
            ),
        ),
        Kind(
            USER,
            "A SCRAM credential.",
            (
                Field("name", "string", "Name of the user.", required=True, replaces=True),
                Field("mechanism", "string", "SCRAM mechanism.", default="SCRAM-SHA-512", among=MECHANISMS),
                Field("otherMechanisms", "strings", "Further SCRAM mechanisms, under the same password."),
                Field(
                    "password",
                    "string",
                    "Password; salted before it is sent. Without one, that of an imported user stays.",
                    secret=True,
                ),
            ),
        ),
        Kind(
            ACL,
            "An ACL. Its identity is its content: every change is another ACL.",
            (
                Field("principal", "string", "`User:name`, or `User:*`.", required=True, replaces=True),
                Field(
                    "resourceType", "string", "What it is about.", required=True, replaces=True, among=RESOURCE_TYPES
                ),
                Field(
                    "resourceName", "string", "Name, or the prefix of names; `*` is all.", required=True, replaces=True
                ),
                Field(
                    "patternType",
                    "string",
                    "How the name is meant.",
                    replaces=True,
                    default="LITERAL",
                    among=("LITERAL", "PREFIXED"),
                ),
                Field("operation", "string", "The operation.", required=True, replaces=True, among=OPERATIONS),
                Field(
                    "permission", "string", "Allow or deny.", replaces=True, default="ALLOW", among=("ALLOW", "DENY")
                ),
                Field("host", "string", "Address of the client; `*` is any.", replaces=True, default="*"),
            ),
        ),
        Kind(
            QUOTA,
            "Client quotas of a user, a client id, or both together, or of an IP address. An empty name is the default of that "
            "dimension.",
            (
                Field("user", "string", 'The user; `""` for the default of all users.', replaces=True),
                Field("clientId", "string", 'The client id; `""` for the default of all client ids.', replaces=True),
                Field("ip", "string", 'The IP address; `""` for the default of all addresses.', replaces=True),
                Field("producerByteRate", "number", "Bytes/s written, each broker.", least=0),
                Field("consumerByteRate", "number", "Bytes/s read, each broker.", least=0),
                Field("requestPercentage", "number", "Share of request handler time in percent, each broker.", least=0),
                Field("controllerMutationRate", "number", "Partitions/s created or deleted.", least=0),
                Field(
                    "connectionCreationRate", "number", "New connections/s from an IP address, each broker.", least=0
                ),
            ),
        ),
        Kind(
            CONFIG,
            "Dynamic configs of a broker, or of all brokers. Only the keys it names are touched; deleting it restores what was there.",
            (
                Field(
                    "broker", "string", 'Broker id, or `""` for the cluster-wide default.', default="", replaces=True
                ),
                Field("config", "map", "Configs as Kafka spells them.", required=True),
                Field("previous", "map", "The values that were set there before.", output=True),
            ),
        ),
        Kind(
            CLUSTER,
            "The plan of a Kafka cluster on this machine: ids, ports and first passwords. It starts nothing.",
            (
                Field(
                    "name",
                    "string",
                    "Name of the cluster; its nodes live in `$ASGARD_HOME/stacks/NAME/nodes`.",
                    required=True,
                    replaces=True,
                ),
                Field("version", "string", "Kafka version; it is never lowered.", required=True),
                Field("brokers", "integer", "How many brokers.", required=True, least=1),
                Field(
                    "controllers",
                    "integer",
                    "How many of them are also controllers; fixed for a cluster's life.",
                    required=True,
                    least=1,
                ),
                Field("racks", "integer", "How many racks the nodes are spread over.", default=1, least=1),
                *_SECURITY_FIELDS,
                Field("clusterId", "string", "The cluster id.", output=True),
                Field("nodes", "nodes", "The nodes, in the order of their ids.", output=True),
                Field("adminPassword", "string", "Password of the first user, `odin_svc0`.", output=True, secret=True),
                Field("controllerPassword", "string", "Password between controllers.", output=True, secret=True),
                Field("bootstrapServers", "string", "`host:port` of all brokers, with commas.", output=True),
                Field(
                    "certificateServers",
                    "string",
                    "The same for users who log in by certificate; only with TLS.",
                    output=True,
                    optional=True,
                ),
                Field(
                    "clientProperties", "map", "Kafka client properties of the first user.", output=True, secret=True
                ),
            ),
        ),
        Kind(
            BROKER,
            "A Kafka node: a process on this machine that outlives the program. Creating it returns when the process is spawned "
            "(`asgard:local:Ready` waits). Other static configs restart it, one node at a time.",
            (
                Field("cluster", "string", "Name of the cluster.", required=True, replaces=True),
                Field("clusterId", "string", "The cluster id.", required=True, replaces=True),
                Field("nodeId", "integer", "`node.id`.", required=True, replaces=True, least=0),
                *_NODE_FIELDS,
                Field(
                    "initialControllers",
                    "string",
                    "`id@host:port:directory-id,…` of the first quorum.",
                    required=True,
                    hint=True,
                ),
                Field("version", "string", "Kafka version.", required=True),
                Field("heap", "string", "Heap of the JVM, as in `256MiB`.", default="256MiB"),
                Field("logDirs", "integer", "Log directories; more can be added, none taken away.", default=1, least=1),
                Field("staticConfig", "map", "Lines of server.properties beyond those Asgard writes.", default={}),
                *_SECURITY_FIELDS,
                *_TLS_FIELDS,
                Field("adminPassword", "string", "Password of the first user.", secret=True),
                Field("controllerPassword", "string", "Password between controllers.", secret=True),
                Field("running", "boolean", "Whether its process is there.", output=True, watched=True),
                Field(
                    "certificate",
                    "string",
                    "With TLS: `valid`, or `due` once a third of its life is left. `up` then renews it, one node at a time.",
                    output=True,
                    watched=True,
                    optional=True,
                ),
                Field("directory", "string", "Where the node lives.", output=True),
            ),
        ),
        Kind(
            READY,
            "Waits until every broker is registered and unfenced and the quorum has a leader. Deleting it says that the whole "
            "cluster goes: brokers are then removed without moving their replicas away first.",
            (
                Field("clusterId", "string", "The cluster id.", required=True, replaces=True),
                Field("brokerIds", "integers", "The brokers to wait for.", required=True),
                Field("bootstrapServers", "string", "Where the cluster answers.", required=True),
                Field("clientProperties", "map", "Kafka client properties.", secret=True, default={}),
                Field(
                    "version",
                    "string",
                    "Kafka version. A higher one raises the feature levels (`metadata.version` and others) once all brokers are "
                    "there, for which Kafka has no way back; without it they stay as they are.",
                ),
                Field(
                    "patience",
                    "integer",
                    "Seconds to wait for them. Machines in a cloud take minutes to boot.",
                    hint=True,
                    default=120,
                    least=1,
                ),
                Field(
                    "raisesLevels",
                    "boolean",
                    "Whether a higher version raises the feature levels here. Where brokers get it later, whoever gives it to them does.",
                    hint=True,
                    default=True,
                ),
                Field("brokers", "integers", "The brokers that were there.", output=True),
            ),
        ),
        Kind(
            ALLOCATION,
            "The identity of a cluster on AWS: its id, directory ids of controllers, first passwords, a private CA and a "
            "certificate for each node. It calls nothing.",
            (
                Field("name", "string", "Name of the cluster.", required=True, replaces=True),
                Field("hosts", "map", "Node id to the private name that its certificate is for.", required=True),
                Field("controllers", "strings", "Node ids of the first quorum.", required=True),
                Field("users", "strings", "Users that a password is drawn for.", default=[]),
                Field("clusterId", "string", "The cluster id.", output=True),
                Field("directoryIds", "map", "Controller to the id of its log directory.", output=True),
                Field("adminPassword", "string", "Password of the first user, `odin_svc0`.", output=True, secret=True),
                Field("controllerPassword", "string", "Password between controllers.", output=True, secret=True),
                Field("certificates", "map", "Node id to its key and certificate (PEM).", output=True, secret=True),
                Field("renewFrom", "string", "When the first of the certificates is due (RFC 3339).", output=True),
                Field("expires", "string", "When the first of the certificates expires (RFC 3339).", output=True),
                Field(
                    "certificate",
                    "string",
                    "`valid`, or `due` once a third of the life of a certificate is left. `up` then renews it.",
                    output=True,
                    watched=True,
                ),
                Field("userPasswords", "map", "User to password.", output=True, secret=True),
                Field("caKey", "string", "Key of the CA (PEM).", output=True, secret=True),
                Field("caCertificate", "string", "What clients trust (PEM).", output=True),
                Field(
                    "clientProperties", "map", "Kafka client properties of the first user.", output=True, secret=True
                ),
            ),
        ),
    )
}

QUOTA_NAMES = {
    "producerByteRate": "producer_byte_rate",
    "consumerByteRate": "consumer_byte_rate",
    "requestPercentage": "request_percentage",
    "controllerMutationRate": "controller_mutation_rate",
    "connectionCreationRate": "connection_creation_rate",
}
"""Property to Kafka's quota name."""
