"""Kafka's error codes as sentences: what was requested, why the cluster refused, and what to do about it.

The classes are those of `core.errors` with the code attached, for callers that must tell one refusal from another.
"""

from __future__ import annotations

import re

from asgard.core.errors import AsgardError, Failed, Unreachable
from asgard.kafka.tls_words import trouble

TIMED_OUT = 7
TOPIC_ALREADY_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_REPLICATION_FACTOR = 38
SECURITY_DISABLED = 54
ELECTION_NOT_NEEDED = 84
NO_REASSIGNMENT_IN_PROGRESS = 85
UNKNOWN_TOPIC = 3
RESOURCE_NOT_FOUND = 91
CLUSTER_NOT_AUTHORISED = 31
UNSUPPORTED_VERSION = 35

NOT_AUTHORISED = {29, 30, 31, 53, 65}
TRY_AGAIN = {5, 6, 7, 8, 13, 14, 15, 16, 41, 74, 75, 78, 89}
"""Codes of a cluster that is busy or changing: leader, coordinator or controller elsewhere, time-out, mutation
quota."""


class KafkaRefused(Failed):
    """The cluster returned an error; `code` is Kafka's error number."""

    def __init__(self, what: str, hint: str | None = None, *, code: int = -1) -> None:
        super().__init__(what, hint)
        self.code = code


class NotAuthorised(KafkaRefused):
    """The user lacks an ACL."""


class LoginRefused(KafkaRefused):
    """The cluster does not accept the user and password (or the mechanism)."""


class BrokerDown(Unreachable):
    """A specific broker was needed and is not available."""


def refusal(code: int, message: str | None, doing: str, *, user: str | None, needs: str | None = None) -> KafkaRefused:
    """The error of a code. `doing` reads like "create topic orders"; `needs` names the ACL, like "CREATE on topic orders"."""
    who = f"the user {user}" if user else "an anonymous client"
    if code in NOT_AUTHORISED:
        hint = f"{who} needs {needs}." if needs else f"{who} needs an ACL for it, or use another user."
        return NotAuthorised(f"not authorised to {doing}", hint[0].upper() + hint[1:], code=code)
    if code == SECURITY_DISABLED:
        return KafkaRefused(
            f"can't {doing}: this cluster has no authorizer, so it has no ACLs",
            "Set authorizer.class.name on every node, or declare the stack with security: none.",
            code=code,
        )
    if code == UNSUPPORTED_VERSION:
        return KafkaRefused(
            f"can't {doing}: {message or 'the cluster does not support this request'}",
            "Asgard needs Kafka 3.9 or later.",
            code=code,
        )
    return KafkaRefused(f"can't {doing}: {reason(code, message)}", code=code)


def reason(code: int, message: str | None) -> str:
    """Kafka's own message if it sent one, else the name of the code in words."""
    import kafka.errors as errors

    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", errors.for_code(code).__name__.removesuffix("Error")).lower()
    return f"{message.rstrip('.')} ({name})" if message else f"{name} (Kafka's error {code})"


def login_refused(error: Exception, servers: str, user: str | None, mechanism: str | None) -> LoginRefused:
    """What a failed SASL exchange means."""
    if type(error).__name__ == "UnsupportedSaslMechanismError":
        return LoginRefused(f"{servers} does not offer the SASL mechanism {mechanism}", code=33)
    return LoginRefused(
        f"{servers} refuses the login of the user {user} ({mechanism}): wrong password, or no such user",
        "Check sasl.jaas.config in the client properties of the context; `asgard odin up` creates the users of a stack.",
        code=58,
    )


def no_answer(servers: str, problems: dict[str, Exception]) -> AsgardError:
    """None of the bootstrap servers answers as a broker: say what each of them did."""
    text = (
        "; ".join(f"{where}: {_plain(error)}" for where, error in sorted(problems.items())) or "no connection in time"
    )
    if meant := trouble(text):
        return Unreachable(f"no TLS connection to {servers}: {meant.what}", meant.hint)
    lower = text.lower()
    hint = "Is the cluster up? `asgard doctor` looks for the usual causes."
    if "wrong_version_number" in lower or "record layer" in lower:
        hint = "That port does not speak TLS: security.protocol should be PLAINTEXT or SASL_PLAINTEXT."
    elif "frame length" in lower or "closed the connection" in lower:
        hint = "That port requires another security.protocol (TLS or SASL) than the client properties have, or it is not a broker's."
    return Unreachable(f"no broker answers at {servers} ({text})", hint)


def not_a_broker(server: str) -> AsgardError:
    """It speaks Kafka, but is not a broker."""
    return Unreachable(
        f"{server} is a controller's listener, or its Kafka is too old",
        "Give the address of a broker (a listener that clients use); Asgard needs Kafka 3.9 or later.",
    )


def _plain(error: Exception) -> str:
    text = str(error)
    for code, words in (
        ("ECONNREFUSED", "connection refused"),
        ("EHOSTUNREACH", "no route to host"),
        ("ENETUNREACH", "network unreachable"),
        ("DNS Resolution failure", "unknown host name"),
        ("timed out", "no answer in time"),
        ("Timed out", "no answer in time"),
        ("socket disconnected", "closed the connection"),
        ("UNEXPECTED_EOF", "closed the connection during the TLS handshake"),
        ("NodeNotReady", "no connection in time"),
    ):
        if code in text or code in type(error).__name__:
            return words
    text = re.sub(r"^(\w+Error: )+|\[Error \d+\] ", "", text)
    return text if text and text != type(error).__name__ else "closed the connection"
