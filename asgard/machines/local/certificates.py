"""The certificates of a stack on this machine: its own CA, one certificate per node, and one per user who logs in by certificate.

    stacks/NAME/tls/ca.key, ca.pem        the CA; its key (0600) never leaves this directory
    stacks/NAME/nodes/N/tls.pem, ca.pem   a node's key and certificate (0600), and what it trusts

A node's certificate serves TLS servers only, a user's TLS clients only, so neither can act as the other. A certificate
is due for renewal when a third of its life is left. The CA is renewed with the same key: what it signed stays valid.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.core import paths
from asgard.core.errors import Failed

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CA_DAYS, NODE_DAYS, USER_DAYS = 3650, 90, 365
_BACKDATED = timedelta(minutes=5)
"""Clocks differ a little."""


@dataclass(frozen=True)
class Issued:
    """A certificate and its key as PEM text."""

    certificate: str
    key: str = field(repr=False)

    @property
    def store(self) -> str:
        """Both in one text: a PEM key store."""
        return self.key + self.certificate


class Authority:
    """The CA in a directory; created when first needed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def certificate_file(self) -> Path:
        """What clients trust."""
        return self.directory / "ca.pem"

    @property
    def key_file(self) -> Path:
        """Its key (0600)."""
        return self.directory / "ca.key"

    def trusted(self) -> str:
        """The CA's certificates; created if there are none, renewed in their last third."""
        with self._alone():
            self._ensure()
        return self.certificate_file.read_text()

    def node(self, name: str, hosts: list[str], *, days: float = NODE_DAYS) -> Issued:
        """A certificate for a server that answers at these addresses."""
        return self._issue(name, days, hosts)

    def user(self, name: str, *, days: float = USER_DAYS) -> Issued:
        """A certificate that a user logs in with: its subject is the name and nothing else."""
        return self._issue(name, days, [])

    def _issue(self, name: str, days: float, hosts: list[str]) -> Issued:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID as Use

        with self._alone():
            ca_key = self._ensure()
        ca = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(name, days)
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([Use.SERVER_AUTH if hosts else Use.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False
            )
        return Issued(_pem(builder.sign(ca_key, hashes.SHA256())), _key_pem(key))

    def _ensure(self) -> EllipticCurvePrivateKey:
        """The CA's key. The certificates are renewed when due."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        if self.key_file.exists():
            key = load_pem_private_key(self.key_file.read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise Failed(f"{self.key_file} is not the key of a CA that Asgard created")
        else:
            key = ec.generate_private_key(ec.SECP256R1())
            paths.write_atomic(self.key_file, _key_pem(key))
        if not due(self.certificate_file):
            return key
        name = f"asgard {self.directory.parent.name} CA"
        ca = (
            _builder(name, CA_DAYS)
            .issuer_name(_subject(name))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        paths.write_atomic(self.certificate_file, _pem(ca))
        return key

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        paths.private_dir(self.directory)
        with (self.directory / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def validity(file: Path) -> tuple[datetime, datetime] | None:
    """The validity period of the certificate in a PEM file; None if the file holds none."""
    try:
        return life_of(file.read_bytes())
    except (OSError, ValueError):
        return None


def life_of(pem: bytes) -> tuple[datetime, datetime]:
    """The validity period of the first certificate in PEM text, also behind a key. Raises ValueError if there is
    none."""
    from cryptography import x509

    found = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERTIFICATE-----") :])
    return found.not_valid_before_utc, found.not_valid_after_utc


def renew_from(begin: datetime, end: datetime) -> datetime:
    """When a certificate becomes due for renewal: when a third of its life is left."""
    return end - (end - begin) / 3


def due(file: Path, now: datetime | None = None) -> bool:
    """Whether it is time to renew: the certificate is missing, or at most a third of its life is left."""
    known = validity(file)
    if known is None:
        return True
    return (now or datetime.now(UTC)) > renew_from(*known)


def _builder(name: str, days: float) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _subject(name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _usage(*, ca: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
