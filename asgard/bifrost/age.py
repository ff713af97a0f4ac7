"""A text encrypted to a public key in the format of age (C2SP `age.md`, version 1, X25519 recipients), so that `age -d -i KEY` opens it too.

A public key is `age1…`, a private one `AGE-SECRET-KEY-1…`, as age-keygen creates them. Credentials need only one chunk of 64 KiB.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re

from asgard.core.errors import WrongUsage

MOST_BYTES = 64 * 1024
_VERSION = "age-encryption.org/v1"
_BEGIN, _END = "-----BEGIN AGE ENCRYPTED FILE-----", "-----END AGE ENCRYPTED FILE-----"
_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_PUBLIC, _PRIVATE = "age", "age-secret-key-"
_LAST = b"\0" * 11 + b"\1"
"""The nonce of a first chunk that is also the last."""


def new_pair() -> tuple[str, str]:
    """A private and a public key."""
    from nacl.bindings import crypto_scalarmult_base

    private = os.urandom(32)
    return _bech32(_PRIVATE, private).upper(), _bech32(_PUBLIC, crypto_scalarmult_base(private))


def check_public_key(text: str) -> None:
    """Raise WrongUsage if a text is not a public key."""
    _key(text, _PUBLIC, "public")


def sealed(text: str, public_key: str) -> str:
    """Text that only the holder of the private key can read, in age's armor."""
    from nacl.bindings import crypto_aead_chacha20poly1305_ietf_encrypt as encrypt
    from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

    if len(text.encode()) > MOST_BYTES:
        raise WrongUsage(f"that is more than {MOST_BYTES // 1024} KiB")
    recipient, file_key, ephemeral = _key(public_key, _PUBLIC, "public"), os.urandom(16), os.urandom(32)
    share = crypto_scalarmult_base(ephemeral)
    wrap = _hkdf(crypto_scalarmult(ephemeral, recipient), share + recipient, f"{_VERSION}/X25519")
    stanza = f"-> X25519 {_plain64(share)}\n{_plain64(encrypt(file_key, None, bytes(12), wrap))}"
    header = f"{_VERSION}\n{stanza}\n---".encode()
    nonce = os.urandom(16)
    body = encrypt(text.encode(), None, _LAST, _hkdf(file_key, nonce, "payload"))
    data = header + b" " + _plain64(_mac(file_key, header)).encode() + b"\n" + nonce + body
    lines = re.findall(".{1,64}", base64.b64encode(data).decode())
    return "\n".join([_BEGIN, *lines, _END])


def unsealed(text: str, private_key: str) -> str:
    """Decrypt it. Raises WrongUsage if the key does not fit, or the text is something else."""
    from nacl.bindings import crypto_aead_chacha20poly1305_ietf_decrypt as decrypt
    from nacl.exceptions import CryptoError

    private = _key(private_key, _PRIVATE, "private")
    try:
        inner = "".join(text.strip().removeprefix(_BEGIN).removesuffix(_END).split())
        data = base64.b64decode(inner, validate=True)
        header, _, rest = data.partition(b"\n---")
        mac, _, payload = rest.partition(b"\n")
        file_key = _file_key(header, private)
        if not header.startswith(_VERSION.encode()) or not hmac.compare_digest(
            _mac(file_key, header + b"\n---"), _bytes64(mac.removeprefix(b" "))
        ):
            raise ValueError("another header")
        return str(decrypt(payload[16:], None, _LAST, _hkdf(file_key, payload[:16], "payload")).decode())
    except (CryptoError, binascii.Error, ValueError, TypeError) as error:
        raise WrongUsage("this does not open with that private key") from error


def _file_key(header: bytes, private: bytes) -> bytes:
    """The file key from the first stanza that this key opens; others may be for other people, or mean nothing. Raises ValueError."""
    from nacl.bindings import crypto_aead_chacha20poly1305_ietf_decrypt as decrypt
    from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
    from nacl.exceptions import CryptoError

    recipient = crypto_scalarmult_base(private)
    for named, wrapped in re.findall(rb"^-> X25519 (\S+)\n(\S+)$", header, re.MULTILINE):
        share = _bytes64(named)
        try:
            wrap = _hkdf(crypto_scalarmult(private, share), share + recipient, f"{_VERSION}/X25519")
            return bytes(decrypt(_bytes64(wrapped), None, bytes(12), wrap))
        except (CryptoError, RuntimeError):
            continue
    raise ValueError("encrypted for another key")


def _key(text: str, prefix: str, kind: str) -> bytes:
    # A file of age-keygen has comments above the key.
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        return _unbech32(prefix, lines[0].lower() if len(lines) == 1 else "")
    except ValueError as error:
        shape = "age1…" if prefix == _PUBLIC else "AGE-SECRET-KEY-1…"
        raise WrongUsage(
            f"that is no {kind} key: allowed is one of age, {shape}", "`asgard bifrost keygen` makes a pair."
        ) from error


def _hkdf(key: bytes, salt: bytes, info: str) -> bytes:
    """HKDF-SHA-256 (RFC 5869), one block."""
    drawn = hmac.digest(salt or bytes(32), key, hashlib.sha256)
    return hmac.digest(drawn, info.encode() + b"\1", hashlib.sha256)


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(_hkdf(file_key, b"", "header"), header, hashlib.sha256)


def _plain64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _bytes64(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


def _checksum(prefix: str, values: list[int]) -> int:
    """Bech32's polynomial (BIP 173)."""
    check = 1
    for value in [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *values]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= factor if top >> bit & 1 else 0
    return check


def _bech32(prefix: str, data: bytes) -> str:
    values = [int(bits.ljust(5, "0"), 2) for bits in re.findall(".{1,5}", "".join(f"{byte:08b}" for byte in data))]
    check = _checksum(prefix, [*values, *[0] * 6]) ^ 1
    return f"{prefix}1" + "".join(_LETTERS[v] for v in [*values, *((check >> 5 * (5 - i)) & 31 for i in range(6))])


def _unbech32(prefix: str, text: str) -> bytes:
    """32 bytes. Raises ValueError."""
    start, _, rest = text.rpartition("1")
    values = [_LETTERS.index(letter) for letter in rest]
    if start != prefix or len(values) != 58 or _checksum(prefix, values) != 1:
        raise ValueError("not that key")
    bits = "".join(f"{value:05b}" for value in values[:-6])
    return int(bits[:256], 2).to_bytes(32, "big")
