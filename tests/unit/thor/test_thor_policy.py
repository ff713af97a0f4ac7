"""`policy:` of thor.yaml: defaults, everything set, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.core.errors import InvalidFile
from asgard.thor.heal import policy
from asgard.thor.heal.policy import Flapping, Policy, Recipient, Restart


def written(path: Path, text: str) -> Path:
    file = path / "thor.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    "text", ["", "limits: {disk: 70%}\n", "policy:\n", "policy: {}\n", "policy: {restart: , notify: }\n"]
)
def test_everything_has_a_default(tmp_path: Path, text: str) -> None:
    assert policy.read(written(tmp_path, text or "x: 1\n")) == Policy()
    assert Policy().grace_s == 300


def test_everything_can_be_set(tmp_path: Path) -> None:
    text = """
limits: {disk: 80%}
policy:
  grace: 10m
  restart: {attempts: 1, wait: 2m}
  replace: true
  max_dead: 2
  quiet_hours: ["mon-fri 08:00-18:00"]
  flapping: {times: 4, within: 1h}
  notify:
    - {webhook: "https://hooks.example.com/services/T0/B0", timeout: 2s, retries: 1}
    - {command: [/usr/local/bin/page, ops]}
  leaders: false
  limits: false
  balance: true
  dry_run: true
"""
    assert policy.read(written(tmp_path, text)) == Policy(
        600,
        Restart(1, 120),
        True,
        2,
        ("mon-fri 08:00-18:00",),
        Flapping(4, 3600),
        (
            Recipient("https://hooks.example.com/services/T0/B0", (), 2, 1),
            Recipient(None, ("/usr/local/bin/page", "ops")),
        ),
        False,
        False,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grace: 5", "3:10: policy.grace: is 5, without a unit; allowed is a duration with one, as in 5m"),
        ("gracee: 5m", "3:3: policy.gracee: is not a known key; did you mean grace?"),
        ("restart: no", "3:12: policy.restart: is 'no'; allowed is a mapping of attempts, wait"),
        ("restart: {attempts: -1}", "3:23: policy.restart.attempts: is -1; allowed is 0 or more"),
        ("max_dead: 0", "3:13: policy.max_dead: is 0; allowed is 1 or more"),
        ("flapping: {times: 1}", "3:21: policy.flapping.times: is 1; allowed is 2 or more"),
        ("quiet_hours: [8-18]", "3:17: policy.quiet_hours[0]: is '8-18'; allowed is a time of day (UTC)"),
        ("balance: off", "3:12: policy.balance: is 'off'; allowed is true or false"),
        ("notify: [{timeout: 5s}]", "3:12: policy.notify[0]: must name one recipient; allowed is either webhook or command"),
        ("notify: [{webhook: ftp://x}]", "3:22: policy.notify[0].webhook: is not the address of a web hook"),
        ("notify: [{command: page}]", "3:22: policy.notify[0].command: is 'page'; allowed is a list"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_what_is_allowed(tmp_path: Path, text: str, told: str) -> None:
    file = written(tmp_path, f"# ours\npolicy:\n  {text}\n")
    with pytest.raises(InvalidFile) as wrong:
        policy.read(file)
    assert len(wrong.value.problems) == 1
    assert f"{file}:{told}" in str(wrong.value)


def test_by_default_a_tenth_of_the_brokers_may_be_gone_at_once_and_always_one() -> None:
    assert [Policy().most_dead(n) for n in (1, 3, 19, 20, 105)] == [1, 1, 1, 2, 10]
    assert Policy(max_dead=3).most_dead(4) == 3


def test_a_recipient_is_named_without_the_secret_part_of_its_address() -> None:
    assert str(Recipient("https://hooks.example.com/services/T0/B0")) == "https://hooks.example.com"
    assert str(Recipient(command=("/usr/local/bin/page", "ops"))) == "/usr/local/bin/page"
