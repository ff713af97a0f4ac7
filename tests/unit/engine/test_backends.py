"""Backends and secrets providers: what a stack file may name, what the Automation API is handed, and the copy on this machine.

The Automation API is the SDK's own; the program that it starts is a stand-in (tests/harness/fake_pulumi.py), so what is shown here is
what Pulumi is asked for, not what it does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from asgard.core.errors import InvalidFile, Unreachable
from asgard.odin.engine.backends import Backend, settings_of
from asgard.odin.engine.cli_engine import CliEngine
from asgard.odin.engine.secrets import Vault
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State, StateStore
from asgard.odin.lifecycle import shared
from asgard.odin.lifecycle.options import OdinOptions
from asgard.odin.resources.values import SECRET_SIGNATURE, SIGNATURE, Secret
from asgard.odin.spec.read import load
from tests.harness.fake_pulumi import FakePulumi

REF = StackRef("asgard", "orders")
KEY = "awskms://alias/asgard?region=eu-central-1"
STACK = "stack: orders\ntarget: external\ncluster: {bootstrap_servers: '127.0.0.1:9'}\nsecurity: {sasl: none}\n"


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePulumi:
    found = FakePulumi.install(tmp_path / "pulumi")
    monkeypatch.setenv("PATH", found.path)
    (tmp_path / "team").mkdir()
    return found


def engine(tmp_path: Path, secrets: str = "passphrase") -> CliEngine:
    backend = Backend(f"file://{tmp_path / 'team'}", secrets)
    return CliEngine(REF, StateStore(tmp_path / "home"), lambda: "correct-horse", backend=backend)


def record(name: str, **outputs: Any) -> dict[str, Any]:
    urn = REF.child(REF.urn, "asgard:kafka:Topic", name)
    return {"urn": urn, "custom": True, "id": name, "type": "asgard:kafka:Topic", "inputs": {}, "outputs": outputs}


def deployment(at: str, *records: dict[str, Any], provider: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"manifest": {"time": at}, "secrets_providers": provider, "resources": list(records)}


RIGHT = ("s3://team-state/kafka?region=eu-central-1", "https://api.pulumi.com/acme", "https://api.pulumi.com", "state", "/srv/state", "file:///srv/state")  # fmt: skip
WRONG = (
    ("backend: s3://team-state/kafka", "engine.backend: is 's3://team-state/kafka', which names no region"),
    ("backend: gs://team-state", "engine.backend: is 'gs://team-state'; allowed are a directory, s3://BUCKET"),
    ("backend: https://api.pulumi.com/acme/orders", "engine.backend: is 'https://api.pulumi.com/acme/orders'; allowed"),
    ("backend: 's3://Team_State?region=eu-west-1'", "engine.backend: is 's3://Team_State?region=eu-west-1'; allowed"),
    (
        "secrets: awskms://alias/asgard",
        "engine.secrets: is 'awskms://alias/asgard'; allowed are passphrase and a KMS key",
    ),
    ("secrets: vault", "engine.secrets: is 'vault'; allowed are passphrase and a KMS key"),
    (f"secrets: '{KEY}'", "engine.secrets: is for a shared `backend`"),
)


@pytest.mark.parametrize("backend", RIGHT)
def test_a_stack_file_names_a_backend_and_the_cli_makes_the_stack(tmp_path: Path, backend: str) -> None:
    file = tmp_path / "asgard.yaml"
    file.write_text(f"{STACK}engine: {{backend: '{backend}', secrets: '{KEY}'}}\n")
    spec = load(file)
    assert spec.engine is not None and spec.engine.secrets == KEY
    url = (
        f"file://{tmp_path}/state"
        if backend == "state"
        else "file:///srv/state"
        if backend == "/srv/state"
        else backend
    )
    assert spec.engine.backend == url
    assert (
        OdinOptions().fitting(spec).engine == "pulumi"
        and OdinOptions().fitting(replace(spec, engine=None)).engine == "embedded"
    )
    assert shared.backend_of(spec, State()) == Backend(url, KEY)


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[text for text, _ in WRONG])
def test_another_backend_or_key_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "asgard.yaml"
    file.write_text(f"{STACK}engine:\n  {text}\n")
    with pytest.raises(InvalidFile) as caught:
        load(file)
    assert said in str(caught.value) and str(caught.value).startswith(f"{file}:6:")


def test_what_a_backend_holds_is_copied_with_its_secrets_under_the_passphrase(
    pulumi: FakePulumi, tmp_path: Path
) -> None:
    secret = {SIGNATURE: SECRET_SIGNATURE, "plaintext": '"hush"'}
    provider = {"type": "cloud", "state": {"url": KEY, "encryptedkey": "AQICAHg"}}
    pulumi.put("orders", deployment("10:00", record("a", password=secret) | {"stackTrace": []}, provider=provider))
    pulling = engine(tmp_path, KEY)
    copy = pulling.pull()
    assert pulumi.verbs() == ["stack select", "stack export", "stack export"]
    (kept,) = copy.live.values()
    assert "ciphertext" in kept["outputs"]["password"] and "hush" not in str(copy) and "stackTrace" not in kept
    opened = Vault(copy.salt, lambda: "correct-horse").decode(kept["urn"], kept["outputs"]["password"])
    assert isinstance(opened, Secret) and opened.value == "hush"
    assert copy.meta["backend"] == {"url": f"file://{tmp_path / 'team'}", "secrets": KEY, "at": "10:00"}
    # The settings that Pulumi needs for the key are written before anything else is run.
    assert "encryptedkey: AQICAHg" in pulumi.calls()[-1][2]["Pulumi.orders.yaml"]


def test_the_copy_stays_until_somebody_changes_the_stack_and_then_nothing_is_taken_for_done(
    pulumi: FakePulumi, tmp_path: Path
) -> None:
    pulumi.put("orders", deployment("10:00", record("a")))
    pulling = engine(tmp_path)
    first = pulling.pull()
    first.meta |= {"fingerprint": "f", "marks": {}, "gate": "passed"}
    pulling.store.save(first)
    assert pulling.pull().meta["fingerprint"] == "f"
    pulumi.put("orders", deployment("11:00", record("a"), record("b")))
    second = pulling.pull()
    assert len(second.live) == 2 and second.meta["gate"] == "passed"
    assert not {"fingerprint", "marks"} & set(second.meta)
    (pulumi.directory / "stacks" / "orders.json").unlink()
    pulling.store.save(second)
    assert pulling.pull().live == {}  # another host has destroyed it


def test_a_state_of_this_machine_moves_into_an_empty_backend_and_under_its_key(
    pulumi: FakePulumi, tmp_path: Path
) -> None:
    moving = engine(tmp_path, KEY)
    mine = State()
    vault = Vault(None, lambda: "correct-horse")
    urn = record("a")["urn"]
    mine.live[urn] = record("a", password=vault.encode(urn, Secret("hush")))
    mine.salt = vault.salt
    moving.store.save(mine)
    assert moving.pull().live == mine.live  # nothing is there: what is here stays
    with moving._workspace(lambda: None, moving.store.load()):
        pass
    assert pulumi.verbs()[-3:] == ["stack init", "stack import", "stack change-secrets-provider"]
    init, _, change = pulumi.calls()[-3:]
    assert init[0][2:] == ["orders", "--secrets-provider", "passphrase"]
    assert f"encryptionsalt: {mine.salt}" in init[2]["Pulumi.orders.yaml"].replace("\n  ", " ")
    assert change[0][2] == KEY and init[1]["PULUMI_BACKEND_URL"] == f"file://{tmp_path / 'team'}"
    assert "hush" not in str(pulumi.held("orders"))


def test_a_new_stack_is_made_under_the_key_that_the_file_names(pulumi: FakePulumi, tmp_path: Path) -> None:
    made = engine(tmp_path, KEY)
    with made._workspace(lambda: None, State()):
        pass
    assert pulumi.calls()[-1][0] == ["stack", "init", "orders", "--secrets-provider", KEY]


def test_an_organization_of_pulumi_cloud_is_part_of_the_stacks_name() -> None:
    cloud = Backend("https://api.pulumi.com/acme")
    assert (cloud.login, cloud.stack_name("asgard", "orders")) == ("https://api.pulumi.com", "acme/asgard/orders")
    plain = Backend("s3://team-state?region=eu-west-1")
    assert (plain.login, plain.stack_name("asgard", "orders")) == ("s3://team-state?region=eu-west-1", "orders")


@pytest.mark.parametrize(
    ("provider", "wanted"),
    [
        ({"type": "passphrase", "state": {"salt": "v1:a:b"}}, {"encryption_salt": "v1:a:b"}),
        (
            {"type": "cloud", "state": {"url": KEY, "encryptedkey": "AQ"}},
            {"secrets_provider": KEY, "encrypted_key": "AQ"},
        ),
    ],
)
def test_settings_are_those_of_what_is_there(provider: dict[str, Any], wanted: dict[str, str]) -> None:
    found = settings_of(deployment("1", provider=provider), "v1:mine:x")
    assert found is not None and {k: getattr(found, k) for k in wanted} == wanted


def test_a_backend_that_cant_be_reached_is_a_sentence_and_exit_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("PULUMI_ACCESS_TOKEN", raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    bucket = Backend("s3://team-state/kafka?region=us-east-1")
    with mock_aws():
        with pytest.raises(Unreachable, match=r"there is no bucket team-state, which engine\.backend names"):
            bucket.check()
        boto3.client("s3", "us-east-1").create_bucket(Bucket="team-state")
        bucket.check()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials that it saw first
    with pytest.raises(Unreachable, match="looking at the backend s3://team-state: no AWS credentials were found"):
        bucket.check()
    with pytest.raises(
        Unreachable, match=f"the backend file://{tmp_path}/gone is not a directory that Asgard can write to"
    ):
        Backend(f"file://{tmp_path}/gone").check()
    with pytest.raises(Unreachable, match=r"no access token for https://api\.pulumi\.com is known"):
        Backend("https://api.pulumi.com/acme").check()
    (tmp_path / "credentials.json").write_text('{"accessTokens": {"https://api.pulumi.com": "pul-1"}}')
    Backend("https://api.pulumi.com/acme").check()
