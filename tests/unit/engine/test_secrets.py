"""Secrets of the state: Pulumi's scheme, opened late, kept where unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgard.core.errors import Failed
from asgard.odin.engine import secrets
from asgard.odin.engine.secrets import OwnPhrase, Vault
from asgard.odin.resources.values import Secret, display
from tests.harness.examples import examples
from tests.unit.engine.record import DATA

URN = "urn:pulumi:dev::story::example:index:Thing::a"
RECORDED = json.loads(DATA.read_text())["secret"]
MARK = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def test_a_secret_that_the_cli_wrote_is_read() -> None:
    vault = Vault(RECORDED["salt"], lambda: RECORDED["passphrase"])
    assert vault.decode(URN, {**MARK, "ciphertext": RECORDED["ciphertext"]}) == Secret(RECORDED["value"])


def test_a_wrong_passphrase_is_said_to_be_wrong() -> None:
    vault = Vault(RECORDED["salt"], lambda: "guess")
    with pytest.raises(Failed, match="the passphrase does not decrypt"):
        vault.decode(URN, {**MARK, "ciphertext": RECORDED["ciphertext"]})


def test_the_key_of_a_phrase_that_asgard_made_is_derived_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "keys" / ".derived" / "s"
    secret = {**MARK, "ciphertext": RECORDED["ciphertext"]}

    def opened(phrase: str) -> object:
        return Vault(RECORDED["salt"], lambda: OwnPhrase(phrase, kept)).decode(URN, secret)

    assert opened(RECORDED["passphrase"]) == Secret(RECORDED["value"])
    assert kept.stat().st_mode & 0o777 == 0o600 and RECORDED["passphrase"] not in kept.read_text()
    with pytest.raises(Failed, match="the passphrase does not decrypt"):
        opened("another")
    with monkeypatch.context() as patch:
        patch.setattr(secrets, "derive", lambda *_: pytest.fail("it is kept"))
        assert opened(RECORDED["passphrase"]) == Secret(RECORDED["value"])
    kept.write_text("damaged")
    assert opened(RECORDED["passphrase"]) == Secret(RECORDED["value"])


def test_a_damaged_secret_is_said_to_be_damaged() -> None:
    vault = Vault(RECORDED["salt"], lambda: RECORDED["passphrase"])
    with pytest.raises(Failed, match="can't be decrypted"):
        vault.decode(URN, {**MARK, "ciphertext": RECORDED["ciphertext"].replace("VKn", "AAA")})


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(Failed, match="scheme"):
        Vault("v2:x:y", lambda: "p").decrypt("v1:a:b")


def test_nobody_is_asked_for_the_passphrase_without_a_secret() -> None:
    def ask() -> str:
        raise AssertionError("asked")

    vault = Vault(None, ask)
    value = {"a": [1, {"b": "c"}]}
    assert vault.decode(URN, value) is value
    assert vault.encode(URN, value) is value
    assert not vault.was_opened


@settings(max_examples=examples(20), deadline=None)
@given(plain)
def test_what_is_encoded_is_decoded_again_by_another_vault(value: Any) -> None:
    vault = Vault(RECORDED["salt"], lambda: RECORDED["passphrase"])
    stored = vault.encode(URN, {"x": Secret(value), "y": value})
    assert json.loads(json.dumps(stored)) == stored
    assert Vault(vault.salt, lambda: RECORDED["passphrase"]).decode(URN, stored) == {"x": Secret(value), "y": value}
    assert stored["x"].keys() == {*MARK, "ciphertext"}


def test_an_unchanged_secret_keeps_its_ciphertext_and_a_changed_one_does_not() -> None:
    vault = Vault(None, lambda: "p")
    stored = vault.encode(URN, {"x": Secret("<&> 1")})
    again = Vault(vault.salt, lambda: "p")
    value = again.decode(URN, stored)
    assert again.encode(URN, {"x": Secret(value["x"].value)}) == stored
    assert again.encode(URN, {"x": Secret("2")}) != stored


def test_plaintext_of_an_export_is_sealed() -> None:
    vault = Vault(None, lambda: "p")
    record = {"urn": URN, "outputs": {"x": {**MARK, "plaintext": '"hush"'}}}
    sealed = vault.sealed(record)
    assert "hush" not in json.dumps(sealed)
    assert vault.decode(URN, sealed["outputs"]) == {"x": Secret("hush")}
    assert vault.sealed(sealed) is sealed


def test_a_secret_is_not_shown() -> None:
    secret = Secret({"password": "hush"})
    assert "hush" not in f"{secret!r} {secret} {display({'a': [secret]})}"
