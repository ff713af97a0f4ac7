"""Why a TLS connection failed, in a sentence: OpenSSL's messages, as Python and librdkafka pass them on, in plain
words."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asgard.kafka.connection import Connection

_PROBE_S = 3.0
_ALERT_S = 0.5
_FOR = re.compile(r"certificate is not valid for '([^']*)'")


@dataclass(frozen=True)
class Trouble:
    """What is wrong, and what to do about it."""

    what: str
    hint: str


_RENEW = "Renew it: `asgard odin up` does that for a stack whose nodes run on this machine."
_TRUST = "ssl.truststore.location must name the CA of that cluster (PEM, PKCS12 or JKS); without it, this machine's own CAs are used."
_TABLE = (
    ("certificate has expired", Trouble("the broker's certificate has expired", _RENEW)),
    (
        "certificate is not yet valid",
        Trouble("the broker's certificate is not valid yet", "Are the clocks right, here and on the broker?"),
    ),
    (
        "unable to get local issuer",
        Trouble("the broker's certificate is not signed by a CA that this machine trusts", _TRUST),
    ),
    (
        "self-signed certificate",
        Trouble("the broker's certificate is not signed by a CA that this machine trusts", _TRUST),
    ),
    (
        "self signed certificate",
        Trouble("the broker's certificate is not signed by a CA that this machine trusts", _TRUST),
    ),
    (
        "certificate signature failure",
        Trouble("the broker's certificate is not signed by a CA that this machine trusts", _TRUST),
    ),
    (
        "certificate required",
        Trouble(
            "the broker requires a client certificate",
            "Set ssl.keystore.location to the certificate and key of a user.",
        ),
    ),
    (
        "alert certificate expired",
        Trouble(
            "the broker refuses the client's certificate: it has expired",
            "Get a new one: asgard odin outputs --user NAME.",
        ),
    ),
    (
        "alert certificate unknown",
        Trouble("the broker refuses the client's certificate", "It must be signed by the CA that the broker trusts."),
    ),
    (
        "bad certificate",
        Trouble(
            "the broker requires a client certificate that it trusts", "Set ssl.keystore.location to those of a user."
        ),
    ),
    (
        "alert unknown ca",
        Trouble(
            "the broker refuses the client's certificate: it does not know its CA",
            "It must be signed by the CA that the broker trusts.",
        ),
    ),
)


def trouble(text: str) -> Trouble | None:
    """What OpenSSL's message means; None if it is not about certificates."""
    lower = text.lower().replace("_", " ")
    if "mismatch" in lower and "certificate" in lower:
        named = _FOR.search(text)
        other = f": it does not hold {named[1]}" if named else ""
        return Trouble(
            f"the broker's certificate is for another host name{other}",
            "Connect by a name that is in the certificate, or add this one to its subject alternative names.",
        )
    found = next((meant for words, meant in _TABLE if words in lower), None)
    if found is None and "certificate verify failed" in lower:
        return Trouble("the broker's certificate could not be verified", _TRUST)
    return found


def probe(connection: Connection) -> Trouble | None:
    """Shake hands with the first bootstrap server once more: librdkafka does not say why a certificate was refused."""
    from asgard.kafka.addresses import split

    for host, port in split(connection.bootstrap_servers):
        try:
            with (
                socket.create_connection((host, port), _PROBE_S) as plain,
                connection.ssl_context().wrap_socket(plain, server_hostname=host) as secured,
            ):
                # With TLS 1.3 a broker refuses the client's certificate after the handshake.
                secured.settimeout(_ALERT_S)
                with contextlib.suppress(TimeoutError):
                    secured.recv(1)
                return None
        except ssl.SSLError as error:
            return trouble(str(error))
        except OSError:
            continue
    return None
