"""Certificates and keys that client properties name, in any store format, as PEM.

Java reads PEM, PKCS12 and JKS stores; librdkafka and Python's TLS read PEM. A store without a type is recognised by its
first bytes, as Java does. An unreadable store is refused, with its name: no connection is made without the requested
CA.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.core.errors import WrongUsage

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_JKS_MAGIC = b"\xfe\xed\xfe\xed"
_TYPES = ("PEM", "PKCS12", "JKS")
_INLINE = {
    "trust": ("ssl.truststore.certificates",),
    "key": ("ssl.keystore.certificate.chain", "ssl.keystore.key"),
}


@dataclass(frozen=True)
class Certificates:
    """PEM text: `ca` to trust (None: what the system trusts), `chain` and `key` to log in with (None: no certificate)."""

    ca: str | None = None
    chain: str | None = None
    key: str | None = field(default=None, repr=False)


def certificates(properties: Mapping[str, str]) -> Certificates:
    """What the `ssl.…` properties name. Raises WrongUsage if one can't be read."""
    chain, key = _identity(properties)
    return Certificates(_trusted(properties), chain, key)


def _trusted(properties: Mapping[str, str]) -> str | None:
    name = "ssl.truststore.certificates"
    if name in properties:
        return _pem_certificates(properties[name].encode(), name)
    read = _store(properties, "ssl.truststore")
    if read is None:
        return None
    where, kind, content = read
    password = properties.get("ssl.truststore.password")
    if kind == "PEM":
        return _pem_certificates(content, where)
    found = _pkcs12(content, where, password)[1] if kind == "PKCS12" else _jks_certificates(content, where, password)
    if not found:
        raise WrongUsage(f"{where} holds no certificate to trust")
    return _pem(found)


def _identity(properties: Mapping[str, str]) -> tuple[str | None, str | None]:
    chain, key = (properties.get(name) for name in _INLINE["key"])
    key_password = properties.get("ssl.key.password")
    if (chain is None) != (key is None):
        raise WrongUsage("ssl.keystore.certificate.chain and ssl.keystore.key must both be set, and one is missing")
    if chain is not None and key is not None:
        where = "ssl.keystore.key"
        return _pem_certificates(chain.encode(), "ssl.keystore.certificate.chain"), _pem_key(
            key.encode(), where, key_password
        )
    read = _store(properties, "ssl.keystore")
    if read is None:
        return None, None
    where, kind, content = read
    store_password = properties.get("ssl.keystore.password")
    if kind == "PEM":
        return _pem_certificates(content, where), _pem_key(content, where, key_password)
    if kind == "PKCS12":
        private, certs = _pkcs12(content, where, store_password)
        if private is None:
            raise WrongUsage(f"{where} holds no private key")
        return _pem(certs), _plain_key(private)
    from asgard.kafka import jks

    entry = jks.private_key(jks.read(content, where, store_password), where, key_password or store_password)
    return _pem([_der(der, where) for der in entry.chain]), _plain_key(_der_key(entry.key, where))


def _store(properties: Mapping[str, str], prefix: str) -> tuple[str, str, bytes] | None:
    """The file of a store, its kind and its content; None if there is none."""
    name = f"{prefix}.location"
    kind = properties.get(f"{prefix}.type", "").upper()
    if kind and kind not in _TYPES:
        raise WrongUsage(f"{prefix}.type is {kind}; Asgard reads {', '.join(_TYPES)}")
    path = properties.get(name)
    if not path:
        return None
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise WrongUsage(
            f"{name} names {path}, which does not exist", "Fix the path in the client properties."
        ) from None
    except OSError as error:
        raise WrongUsage(f"can't read {path}, which {name} names: {error.strerror}") from error
    found = _kind_of(content)
    # Java opens a store of either binary kind under either name.
    if not found or (kind and (kind == "PEM") != (found == "PEM")):
        what = f"is not a {kind} store" if kind else "is not a store that Asgard can read"
        raise WrongUsage(f"{path}, which {name} names, {what}", f"Asgard reads {', '.join(_TYPES)}.")
    return path, found, content


def _kind_of(content: bytes) -> str:
    if content.startswith(_JKS_MAGIC):
        return "JKS"
    if b"-----BEGIN " in content:
        return "PEM"
    return "PKCS12" if content[:1] == b"\x30" else ""


def _pem_certificates(content: bytes, where: str) -> str:
    from cryptography import x509

    try:
        return _pem(x509.load_pem_x509_certificates(content))
    except ValueError as error:
        raise WrongUsage(f"{where} holds no certificate in PEM: {error}") from error


def _pem_key(content: bytes, where: str, password: str | None) -> str:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    begin = content.find(b"-----BEGIN ", 0)
    while begin >= 0 and b"PRIVATE KEY" not in content[begin : content.find(b"\n", begin)]:
        begin = content.find(b"-----BEGIN ", begin + 1)
    if begin < 0:
        raise WrongUsage(f"{where} holds no private key in PEM")
    try:
        return _plain_key(load_pem_private_key(content[begin:], password.encode() if password else None))
    except (ValueError, TypeError) as error:
        raise _locked(where, "ssl.key.password", password) from error


def _pkcs12(content: bytes, where: str, password: str | None) -> tuple[PrivateKeyTypes | None, list[x509.Certificate]]:
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    try:
        store = load_pkcs12(content, None if password is None else password.encode())
    except ValueError as error:
        raise _locked(where, "the store's password", password) from error
    own = [store.cert] if store.cert is not None else []
    return store.key, [one.certificate for one in [*own, *store.additional_certs]]


def _jks_certificates(content: bytes, where: str, password: str | None) -> list[x509.Certificate]:
    from asgard.kafka import jks

    return [_der(der, where) for der in jks.read(content, where, password).trusted]


def _locked(where: str, name: str, password: str | None) -> WrongUsage:
    if password is None:
        return WrongUsage(f"{where} has a password but none is given, or is damaged ({name})")
    return WrongUsage(f"{where} can't be opened: the password is wrong ({name}), or the file is damaged")


def _der(der: bytes, where: str) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise WrongUsage(f"{where} holds a certificate that can't be read: {error}") from error


def _der_key(der: bytes, where: str) -> PrivateKeyTypes:
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        return load_der_private_key(der, None)
    except ValueError as error:
        raise WrongUsage(f"{where} holds a private key that can't be read: {error}") from error


def _pem(certs: list[x509.Certificate]) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(cert.public_bytes(Encoding.PEM).decode() for cert in certs)


def _plain_key(key: PrivateKeyTypes) -> str:
    """Not encrypted: it never leaves memory."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
