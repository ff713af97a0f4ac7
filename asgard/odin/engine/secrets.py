"""Secrets in the state, under Pulumi's passphrase scheme, so that either engine reads what the other wrote.

Scheme (sdk/go/common/resource/config/crypt.go, pkg/secrets/passphrase/manager.go): AES-256-GCM with a 12-byte nonce, a
value is `v1:<nonce>:<ciphertext and tag>` in base64; the key is PBKDF2-HMAC-SHA256 of the passphrase with an 8-byte
salt and a million rounds; the state's salt is `v1:<salt>:<the word "pulumi", encrypted>`. What is encrypted is the JSON
of the value. Deriving the key takes about half a second, so this waits for the first secret, the key is stored if that
reveals nothing, and an unchanged value keeps its ciphertext.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Callable
from functools import lru_cache
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path
from typing import Any, Final

from asgard.core.errors import Failed
from asgard.core.paths import write_atomic
from asgard.odin.resources.values import SECRET_SIGNATURE, SIGNATURE, Secret, Value

ROUNDS: Final = 1_000_000
_PROOF: Final = "pulumi"


class OwnPhrase(str):
    """A passphrase that Asgard generated: 256 random bits in a file. The million rounds don't make these harder to
    guess, so the derived key is kept in `derived`, a file that is just as private.
    """

    derived: Path

    def __new__(cls, phrase: str, derived: Path) -> OwnPhrase:
        """`derived`: where the key is kept, or will be."""
        made = super().__new__(cls, phrase)
        made.derived = derived
        return made


class Vault:
    """Encrypts and decrypts the secrets of one stack; asks for the passphrase at the first secret."""

    def __init__(self, salt: str | None, passphrase: Callable[[], str]) -> None:
        """`salt` is the state's `secrets_providers` salt, or None for a stack without secrets so far."""
        self._state = salt
        self._passphrase = passphrase
        self._key: bytes | None = None
        self._known: dict[tuple[str, str], str] = {}

    @property
    def salt(self) -> str:
        """The state's salt, generated when first needed."""
        if self._state is None:
            self._open()
        assert self._state is not None
        return self._state

    @property
    def was_opened(self) -> bool:
        """Whether the passphrase was asked for."""
        return self._key is not None

    def encode(self, urn: str, value: Value) -> Any:
        """A value as the state holds it; the same object if it holds no secret."""
        if isinstance(value, Secret):
            text = _json(self.encode(urn, value.value))
            ciphertext = self._known.get((urn, text))
            if ciphertext is None:
                ciphertext = self._known[(urn, text)] = self.encrypt(text)
            return {SIGNATURE: SECRET_SIGNATURE, "ciphertext": ciphertext}
        if isinstance(value, dict):
            return _same_or({key: self.encode(urn, item) for key, item in value.items()}, value)
        if isinstance(value, list):
            encoded = [self.encode(urn, item) for item in value]
            return value if all(a is b for a, b in zip(encoded, value, strict=True)) else encoded
        return value

    def decode(self, urn: str, value: Any) -> Value:
        """A value of the state in the engine's form; the same object if it holds no secret."""
        if isinstance(value, dict):
            if value.get(SIGNATURE) == SECRET_SIGNATURE:
                text = value["plaintext"] if "plaintext" in value else self.decrypt(value["ciphertext"])
                opened = json.loads(text)
                if "ciphertext" in value:
                    self._known[(urn, _json(opened))] = value["ciphertext"]
                return Secret(opened)
            return _same_or({key: self.decode(urn, item) for key, item in value.items()}, value)
        if isinstance(value, list):
            decoded = [self.decode(urn, item) for item in value]
            return value if all(a is b for a, b in zip(decoded, value, strict=True)) else decoded
        return value

    def sealed(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record without plaintext secrets, as an export with `--show-secrets` has them; the same object if it has
        none."""
        result = record
        for key in ("inputs", "outputs"):
            if '"plaintext"' in _json(record.get(key)):
                urn = record["urn"]
                result = {**result, key: self.encode(urn, self.decode(urn, record[key]))}
        return result

    def encrypt(self, text: str) -> str:
        """`v1:nonce:ciphertext`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(12)
        return f"v1:{_b64(nonce)}:{_b64(AESGCM(self._open()).encrypt(nonce, text.encode(), None))}"

    def decrypt(self, ciphertext: str) -> str:
        """Raises Failed if the value was not encrypted under this passphrase."""
        return _decrypt(self._open(), ciphertext)

    def _open(self) -> bytes:
        if self._key is not None:
            return self._key
        phrase = self._passphrase()
        if self._state is None:
            salt = os.urandom(8)
            self._key = derive(phrase, salt)
            self._state = f"v1:{_b64(salt)}:{self.encrypt(_PROOF)}"
            _keep(phrase, salt, self._key)
            return self._key
        parts = self._state.split(":", 2)
        if len(parts) != 3 or parts[0] != "v1":
            raise Failed(
                "the state's secrets use a scheme that Asgard does not know",
                "only Pulumi's passphrase scheme v1 is read",
            )
        salt = base64.b64decode(parts[1])
        kept = _kept(phrase, salt) if isinstance(phrase, OwnPhrase) else None
        if kept is not None and _proves(kept, parts[2]):
            self._key = kept
            return kept
        key = derive(phrase, salt)
        if not _proves(key, parts[2]):
            raise Failed(
                "the passphrase does not decrypt this stack's secrets",
                "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, or restore the key file in ASGARD_HOME/keys",
            )
        _keep(phrase, salt, key)
        self._key = key
        return key


def _proves(key: bytes, proof: str) -> bool:
    try:
        return _decrypt(key, proof) == _PROOF
    except Failed:
        return False


def _keep(phrase: str, salt: bytes, key: bytes) -> None:
    if isinstance(phrase, OwnPhrase):
        with contextlib.suppress(OSError):  # the next command derives it again
            write_atomic(phrase.derived, f"{_fingerprint(phrase, salt)} {_b64(key)}\n")


def _kept(phrase: OwnPhrase, salt: bytes) -> bytes | None:
    try:
        of, key = phrase.derived.read_text().split()
        return base64.b64decode(key) if of == _fingerprint(phrase, salt) else None
    except (OSError, ValueError):
        return None


def _fingerprint(phrase: OwnPhrase, salt: bytes) -> str:
    return sha256(salt + phrase.encode()).hexdigest()


@lru_cache(maxsize=8)
def derive(passphrase: str, salt: bytes) -> bytes:
    """The 32-byte key; takes about half a second by design, so a process derives it once."""
    return pbkdf2_hmac("sha256", passphrase.encode(), salt, ROUNDS, 32)


def _decrypt(key: bytes, ciphertext: str) -> str:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    parts = ciphertext.split(":")
    if len(parts) != 3 or parts[0] != "v1":
        raise Failed("a secret in the state is not in the form v1:nonce:ciphertext")
    try:
        return AESGCM(key).decrypt(base64.b64decode(parts[1]), base64.b64decode(parts[2]), None).decode()
    except (InvalidTag, ValueError):
        raise Failed(
            "a secret in the state can't be decrypted: it was damaged, or encrypted under another key"
        ) from None


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _same_or(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    return old if all(new[key] is old[key] for key in old) else new
