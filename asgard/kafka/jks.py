"""Java's old key store format, JKS, read only: trusted certificates, and one private key with its chain.

The format is Sun's: a magic number, a version, entries, and a SHA-1 over the password and all of that. Private keys are
encrypted with a key stream of SHA-1 digests. Don't use it for anything new; many existing stores do.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from asgard.core.errors import WrongUsage

_KEY, _CERTIFICATE = 1, 2
_SALT = b"Mighty Aphrodite"
_SUN = bytes.fromhex("2b060104012a02110101")
"""The content of the object id 1.3.6.1.4.1.42.2.17.1.1, by which Sun's key protection is named."""


@dataclass(frozen=True)
class KeyEntry:
    """A private key (PKCS8, DER; still encrypted in a store that was just read) and the certificates that go with
    it."""

    alias: str
    key: bytes = field(repr=False)
    chain: tuple[bytes, ...]


@dataclass(frozen=True)
class Store:
    """The entries of a store; certificates are DER."""

    trusted: tuple[bytes, ...]
    keys: tuple[KeyEntry, ...]


def read(content: bytes, where: str, password: str | None) -> Store:
    """The entries. With a password the store's digest is checked, as Java does. Raises WrongUsage."""
    if password is not None:
        digest = hashlib.sha1(_wide(password) + _SALT + content[:-20], usedforsecurity=False).digest()
        if not hmac.compare_digest(digest, content[-20:]):
            raise WrongUsage(f"{where} can't be opened: the store's password is wrong, or the file is damaged")
    try:
        return _entries(_Reader(content[:-20]))
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise WrongUsage(f"{where} is a damaged JKS store: {error}") from error


def private_key(store: Store, where: str, password: str | None) -> KeyEntry:
    """The private key of a store, opened. Raises WrongUsage if there is none, or if the password is wrong."""
    if not store.keys:
        raise WrongUsage(f"{where} holds no private key")
    entry = store.keys[0]
    if password is None:
        raise WrongUsage(f"{where} needs a password for its key: ssl.keystore.password, or ssl.key.password")
    return KeyEntry(entry.alias, _open(entry.key, password, where), entry.chain)


class _Reader:
    """Java's DataInputStream, as far as it is needed here."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def number(self, form: str) -> int:
        value: int = struct.unpack_from(form, self._content, self._at)[0]
        self._at += struct.calcsize(form)
        return value

    def text(self) -> str:
        return self._bytes(self.number(">H")).decode()

    def block(self) -> bytes:
        return self._bytes(self.number(">I"))

    def _bytes(self, count: int) -> bytes:
        if self._at + count > len(self._content):
            raise ValueError("it ends in the middle of an entry")
        self._at += count
        return self._content[self._at - count : self._at]


def _entries(reader: _Reader) -> Store:
    reader.number(">I")
    version = reader.number(">I")
    if version not in (1, 2):
        raise ValueError(f"its version is {version}")
    trusted, keys = [], []
    for _ in range(reader.number(">I")):
        tag, alias = reader.number(">I"), reader.text()
        reader.number(">Q")  # creation time
        if tag == _KEY:
            key = reader.block()
            keys.append(KeyEntry(alias, key, tuple(_certificate(reader, version) for _ in range(reader.number(">I")))))
        elif tag == _CERTIFICATE:
            trusted.append(_certificate(reader, version))
        else:
            raise ValueError(f"it holds an entry of kind {tag}")
    return Store(tuple(trusted), tuple(keys))


def _certificate(reader: _Reader, version: int) -> bytes:
    if version == 2:
        reader.text()  # always X.509
    return reader.block()


def _open(hidden: bytes, password: str, where: str) -> bytes:
    """Sun's KeyProtector: 20 bytes of salt, the key under the stream, a digest that says whether the password was right."""
    at = hidden.find(_SUN)
    body = _octets(hidden, at + len(_SUN)) if at >= 0 else b""
    salt, covered, check = body[:20], body[20:-20], body[-20:]
    secret, stream, digest = _wide(password), b"", salt
    while len(stream) < len(covered):
        digest = hashlib.sha1(secret + digest, usedforsecurity=False).digest()
        stream += digest
    key = bytes(a ^ b for a, b in zip(covered, stream, strict=False))
    if not body or not hmac.compare_digest(hashlib.sha1(secret + key, usedforsecurity=False).digest(), check):
        raise WrongUsage(f"the key in {where} can't be opened: the password is wrong (ssl.key.password)")
    return key


def _octets(der: bytes, at: int) -> bytes:
    """The octet string that follows, with or without a NULL in between."""
    if der[at : at + 2] == b"\x05\x00":
        at += 2
    if der[at : at + 1] != b"\x04":
        return b""
    length, at = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(der[at : at + size], "big"), at + size
    return der[at : at + length]


def _wide(password: str) -> bytes:
    return password.encode("utf-16-be")
