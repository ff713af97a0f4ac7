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
class Property:
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
class ResourceType:
    """A resource type."""

    token: str
    about: str
    fields: tuple[Property, ...]

    @cached_property
    def inputs(self) -> tuple[Property, ...]:
        """What a program sets."""
        return tuple(field for field in self.fields if not field.output)

    @cached_property
    def secrets(self) -> frozenset[str]:
        """The properties that never leave the process in the clear."""
        return frozenset(field.name for field in self.fields if field.secret)

    def field(self, name: str) -> Property | None:
        """The property of that name."""
        return next((field for field in self.fields if field.name == name), None)


RESOURCE_TYPES = ("TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER")
OPERATIONS = (
    *("ALL", "READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "CLUSTER_ACTION", "DESCRIBE_CONFIGS"),
    *("ALTER_CONFIGS", "IDEMPOTENT_WRITE", "CREATE_TOKENS", "DESCRIBE_TOKENS", "TWO_PHASE_COMMIT"),
)
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")

_NODE_FIELDS = (
    Property(
        "roles", "strings", "`broker`, and `controller` on a node that is also in the metadata quorum.", required=True
    ),
    Property("rack", "string", "`broker.rack`."),
    Property("brokerPort", "integer", "Port of the client listener on 127.0.0.1.", required=True),
    Property("controllerPort", "integer", "Port of the controller listener; 0 on a node without that role.", default=0),
    Property("directoryId", "string", "Id of the log directory (KIP-853).", required=True, replaces=True),
)

_SECURITY_FIELDS = (
    Property("sasl", "string", "How clients authenticate.", default="scram-sha-512", among=("scram-sha-512", "none")),
    Property("authorizer", "boolean", "Whether ACLs are enforced.", default=True),
    Property(
        "tls",
        "string",
        "`on`: every listener is encrypted. `optional`: those without TLS stay open beside them. A change of a live cluster "
        "restarts its nodes one by one, two or three times.",
        among=("off", "optional", "on"),
    ),
)

_TLS_FIELDS = (
    Property("tlsPort", "integer", "Port of the client listener with TLS."),
    Property("certificatePort", "integer", "Port of the listener for users who log in by certificate."),
    Property(
        "tlsControllerPort", "integer", "Port of the controller listener with TLS; 0 on a node without that role."
    ),
    Property("tlsControllers", "string", "`initialControllers` at their ports with TLS.", hint=True),
)

KINDS: dict[str, ResourceType] = {
    kind.token: kind
    for kind in (
        ResourceType(
            TOPIC,
            "A topic. More partitions and configs are changed in place, another replication factor by a throttled reassignment; "
            "fewer partitions are refused. A topic that holds records is deleted only when data loss was allowed for its name.",
            (
                Property("name", "string", "Name of the topic.", required=True, replaces=True),
                Property("partitions", "integer", "How many partitions.", required=True, least=1),
                Property("replication", "integer", "Replication factor.", required=True, least=1),
                Property(
                    "config", "map", "Configs that are set on the topic itself, as Kafka spells them.", default={}
                ),
                Property(
                    "throttle",
                    "integer",
                    "Bytes/s and broker for a change of the replication factor.",
                    hint=True,
                    least=1,
                ),
                Property("topicId", "string", "Kafka's id of the topic.", output=True, watched=True),
            ),
        ),
        ResourceType(
            USER,
            "A SCRAM credential.",
            (
                Property("name", "string", "Name of the user.", required=True, replaces=True),
                Property("mechanism", "string", "SCRAM mechanism.", default="SCRAM-SHA-512", among=MECHANISMS),
                Property("otherMechanisms", "strings", "Further SCRAM mechanisms, under the same password."),
                Property(
                    "password",
                    "string",
                    "Password; salted before it is sent. Without one, that of an imported user stays.",
                    secret=True,
                ),
            ),
        ),
        ResourceType(
            ACL,
            "An ACL. Its identity is its content: every change is another ACL.",
            (
                Property("principal", "string", "`User:name`, or `User:*`.", required=True, replaces=True),
                Property(
                    "resourceType", "string", "What it is about.", required=True, replaces=True, among=RESOURCE_TYPES
                ),
                Property(
                    "resourceName", "string", "Name, or the prefix of names; `*` is all.", required=True, replaces=True
                ),
                Property(
                    "patternType",
                    "string",
                    "How the name is meant.",
                    replaces=True,
                    default="LITERAL",
                    among=("LITERAL", "PREFIXED"),
                ),
                Property("operation", "string", "The operation.", required=True, replaces=True, among=OPERATIONS),
                Property(
                    "permission", "string", "Allow or deny.", replaces=True, default="ALLOW", among=("ALLOW", "DENY")
                ),
                Property("host", "string", "Address of the client; `*` is any.", replaces=True, default="*"),
            ),
        ),
        ResourceType(
            QUOTA,
            "Client quotas of a user, a client id, or both together, or of an IP address. An empty name is the default of that "
            "dimension.",
            (
                Property("user", "string", 'The user; `""` for the default of all users.', replaces=True),
                Property("clientId", "string", 'The client id; `""` for the default of all client ids.', replaces=True),
                Property("ip", "string", 'The IP address; `""` for the default of all addresses.', replaces=True),
                Property("producerByteRate", "number", "Bytes/s written, each broker.", least=0),
                Property("consumerByteRate", "number", "Bytes/s read, each broker.", least=0),
                Property(
                    "requestPercentage", "number", "Share of request handler time in percent, each broker.", least=0
                ),
                Property("controllerMutationRate", "number", "Partitions/s created or deleted.", least=0),
                Property(
                    "connectionCreationRate", "number", "New connections/s from an IP address, each broker.", least=0
                ),
            ),
        ),
        ResourceType(
            CONFIG,
            "Dynamic configs of a broker, or of all brokers. Only the keys it names are touched; deleting it restores what was there.",
            (
                Property(
                    "broker", "string", 'Broker id, or `""` for the cluster-wide default.', default="", replaces=True
                ),
                Property("config", "map", "Configs as Kafka spells them.", required=True),
                Property("previous", "map", "The values that were set there before.", output=True),
            ),
        ),
        ResourceType(
            CLUSTER,
            "The plan of a Kafka cluster on this machine: ids, ports and first passwords. It starts nothing.",
            (
                Property(
                    "name",
                    "string",
                    "Name of the cluster; its nodes live in `$ASGARD_HOME/stacks/NAME/nodes`.",
                    required=True,
                    replaces=True,
                ),
                Property("version", "string", "Kafka version; it is never lowered.", required=True),
                Property("brokers", "integer", "How many brokers.", required=True, least=1),
                Property(
                    "controllers",
                    "integer",
                    "How many of them are also controllers; fixed for a cluster's life.",
                    required=True,
                    least=1,
                ),
                Property("racks", "integer", "How many racks the nodes are spread over.", default=1, least=1),
                *_SECURITY_FIELDS,
                Property("clusterId", "string", "The cluster id.", output=True),
                Property("nodes", "nodes", "The nodes, in the order of their ids.", output=True),
                Property(
                    "adminPassword", "string", "Password of the first user, `odin_svc0`.", output=True, secret=True
                ),
                Property("controllerPassword", "string", "Password between controllers.", output=True, secret=True),
                Property("bootstrapServers", "string", "`host:port` of all brokers, with commas.", output=True),
                Property(
                    "certificateServers",
                    "string",
                    "The same for users who log in by certificate; only with TLS.",
                    output=True,
                    optional=True,
                ),
                Property(
                    "clientProperties", "map", "Kafka client properties of the first user.", output=True, secret=True
                ),
            ),
        ),
        ResourceType(
            BROKER,
            "A Kafka node: a process on this machine that outlives the program. Creating it returns when the process is spawned "
            "(`asgard:local:Ready` waits). Other static configs restart it, one node at a time.",
            (
                Property("cluster", "string", "Name of the cluster.", required=True, replaces=True),
                Property("clusterId", "string", "The cluster id.", required=True, replaces=True),
                Property("nodeId", "integer", "`node.id`.", required=True, replaces=True, least=0),
                *_NODE_FIELDS,
                Property(
                    "initialControllers",
                    "string",
                    "`id@host:port:directory-id,…` of the first quorum.",
                    required=True,
                    hint=True,
                ),
                Property("version", "string", "Kafka version.", required=True),
                Property("heap", "string", "Heap of the JVM, as in `256MiB`.", default="256MiB"),
                Property(
                    "logDirs", "integer", "Log directories; more can be added, none taken away.", default=1, least=1
                ),
                Property("staticConfig", "map", "Lines of server.properties beyond those Asgard writes.", default={}),
                *_SECURITY_FIELDS,
                *_TLS_FIELDS,
                Property("adminPassword", "string", "Password of the first user.", secret=True),
                Property("controllerPassword", "string", "Password between controllers.", secret=True),
                Property("running", "boolean", "Whether its process is there.", output=True, watched=True),
                Property(
                    "certificate",
                    "string",
                    "With TLS: `valid`, or `due` once a third of its life is left. `up` then renews it, one node at a time.",
                    output=True,
                    watched=True,
                    optional=True,
                ),
                Property("directory", "string", "Where the node lives.", output=True),
            ),
        ),
        ResourceType(
            READY,
            "Waits until every broker is registered and unfenced and the quorum has a leader. Deleting it says that the whole "
            "cluster goes: brokers are then removed without moving their replicas away first.",
            (
                Property("clusterId", "string", "The cluster id.", required=True, replaces=True),
                Property("brokerIds", "integers", "The brokers to wait for.", required=True),
                Property("bootstrapServers", "string", "Where the cluster answers.", required=True),
                Property("clientProperties", "map", "Kafka client properties.", secret=True, default={}),
                Property(
                    "version",
                    "string",
                    "Kafka version. A higher one raises the feature levels (`metadata.version` and others) once all brokers are "
                    "there, for which Kafka has no way back; without it they stay as they are.",
                ),
                Property(
                    "patience",
                    "integer",
                    "Seconds to wait for them. Machines in a cloud take minutes to boot.",
                    hint=True,
                    default=120,
                    least=1,
                ),
                Property(
                    "raisesLevels",
                    "boolean",
                    "Whether a higher version raises the feature levels here. If brokers get it later, the levels are raised then.",
                    hint=True,
                    default=True,
                ),
                Property("brokers", "integers", "The brokers that were there.", output=True),
            ),
        ),
        ResourceType(
            ALLOCATION,
            "The identity of a cluster on AWS: its id, directory ids of controllers, first passwords, a private CA and a "
            "certificate for each node. It calls nothing.",
            (
                Property("name", "string", "Name of the cluster.", required=True, replaces=True),
                Property("hosts", "map", "Node id to the private name that its certificate is for.", required=True),
                Property("controllers", "strings", "Node ids of the first quorum.", required=True),
                Property("users", "strings", "Users that a password is drawn for.", default=[]),
                Property("clusterId", "string", "The cluster id; MSK chooses its own.", output=True, optional=True),
                Property("directoryIds", "map", "Controller to the id of its log directory.", output=True),
                Property(
                    "adminPassword", "string", "Password of the first user, `odin_svc0`.", output=True, secret=True
                ),
                Property("controllerPassword", "string", "Password between controllers.", output=True, secret=True),
                Property("certificates", "map", "Node id to its key and certificate (PEM).", output=True, secret=True),
                Property("renewFrom", "string", "When the first of the certificates is due (RFC 3339).", output=True),
                Property("expires", "string", "When the first of the certificates expires (RFC 3339).", output=True),
                Property(
                    "certificate",
                    "string",
                    "`valid`, or `due` once a third of the life of a certificate is left. `up` then renews it.",
                    output=True,
                    watched=True,
                ),
                Property("userPasswords", "map", "User to password.", output=True, secret=True),
                Property("caKey", "string", "Key of the CA (PEM).", output=True, secret=True),
                Property("caCertificate", "string", "What clients trust (PEM).", output=True),
                Property(
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
