"""Kafka's jars come from a repository on loopback: verified, mended, and by two at once."""

import hashlib
import multiprocessing
import os
import re
import signal
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from asgard.core import events
from asgard.core.errors import ExitCode, Failed, Unreachable, WrongUsage
from asgard.kafka.distribution import home, jars
from asgard.kafka.distribution.jars import Coordinate, Jar, Lock

VERSION = "9.9.9"
CONTENTS = {Coordinate("org.example", f"jar-{i}", "1.0"): f"content of jar {i}".encode() * 100 for i in range(12)}
LOCK = Lock(VERSION, tuple(Jar(c, len(b), hashlib.sha256(b).hexdigest()) for c, b in CONTENTS.items()))
FIRST = LOCK.jars[0].coordinate


class Server(ThreadingHTTPServer):
    request_queue_size = 64


class Repository:
    """A Maven repository on loopback.

    `files` is what a path gives; `failures` are status codes that it gives first.
    """

    def __init__(self):
        self.files = {f"/{c.url_path}": content for c, content in CONTENTS.items()}
        self.failures = {}
        self.requests = Counter()
        self.delay_s = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests[self.path] += 1
                time.sleep(outer.delay_s)
                status = outer.failures.get(self.path, [])
                content = outer.files.get(self.path)
                code = status.pop(0) if status else 200 if content is not None else 404
                self.send_response(code)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *args):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def path(self, coordinate):
        return f"/{coordinate.url_path}"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The repository in use, with a lock file of the version and an empty cache."""
    served = Repository()
    monkeypatch.setenv("ASGARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASGARD_MAVEN_REPO", served.address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    lock_file = jars.cached_path(VERSION)
    lock_file.parent.mkdir(parents=True)
    lock_file.write_text(LOCK.render())
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def libs(tmp_path):
    """Where the jars get to."""
    return tmp_path / "cache" / "kafka" / VERSION / "libs"


def assert_whole(libs):
    assert {p.name: p.read_bytes() for p in libs.iterdir()} == {c.file: b for c, b in CONTENTS.items()}
    assert not list(libs.parent.glob(".partial-*"))


def test_the_first_use_fetches_everything_and_the_second_nothing(repository, libs):
    told = []
    with events.listening(lambda event: told.append((event.done, event.total))):
        found = home.ensure_kafka(VERSION)
    assert (found.fetched, found.source, found.classpath) == (12, "cache", f"{libs}/*")
    assert told[-1] == (LOCK.size_bytes, LOCK.size_bytes)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert_whole(libs)
    assert home.ensure_kafka(VERSION).fetched == 0
    assert set(repository.requests.values()) == {1}


def test_other_bytes_than_the_lock_names_are_refused_and_not_kept(repository, libs):
    repository.files[repository.path(FIRST)] = b"something else entirely"
    with pytest.raises(Failed, match=r"org\.example:jar-0:1\.0 from .* is not the jar in the lock file") as caught:
        home.ensure_kafka(VERSION)
    assert "ASGARD_MAVEN_REPO" in str(caught.value.hint)
    assert not (libs / FIRST.file).exists()
    assert home.find_kafka(VERSION) is None


def test_after_a_refusal_a_good_repository_completes_the_cache(repository, libs):
    repository.files[repository.path(FIRST)] = b"bad"
    with pytest.raises(Failed):
        home.ensure_kafka(VERSION)
    repository.files[repository.path(FIRST)] = CONTENTS[FIRST]
    home.ensure_kafka(VERSION)
    assert_whole(libs)


def same_size(path):
    path.write_bytes(bytes(len(path.read_bytes())))


DAMAGES = {
    "other bytes of the same size": same_size,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:10]),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_jar_is_noticed_and_mended(repository, libs, damage):
    home.ensure_kafka(VERSION)
    damage(libs / FIRST.file)
    assert home.find_kafka(VERSION) is None
    assert home.ensure_kafka(VERSION).fetched == 1
    assert_whole(libs)


def test_damage_that_keeps_size_and_time_is_found_by_verify(repository, libs):
    home.ensure_kafka(VERSION)
    path = libs / FIRST.file
    before = path.stat()
    same_size(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert home.ensure_kafka(VERSION).fetched == 0
    assert home.ensure_kafka(VERSION, verify=True).mended == (str(FIRST),)
    assert_whole(libs)


def test_a_jar_that_the_lock_does_not_name_does_not_get_to_run(repository, libs):
    home.ensure_kafka(VERSION)
    (libs / "stranger.jar").write_bytes(b"x")
    home.ensure_kafka(VERSION)
    assert_whole(libs)


def test_a_jar_that_is_only_touched_is_not_fetched_again(repository, libs):
    home.ensure_kafka(VERSION)
    os.utime(libs / FIRST.file)
    assert home.ensure_kafka(VERSION).fetched == 0
    assert home.find_kafka(VERSION) is not None


def fetch_in_child(results):
    results.put(home.ensure_kafka(VERSION).fetched)


def test_two_fetches_at_once_fetch_each_jar_once(repository, libs):
    repository.delay_s = 0.02
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=fetch_in_child, args=(results,)) for _ in range(2)]
    for child in children:
        child.start()
    counts = sorted(results.get(timeout=30) for _ in children)
    for child in children:
        child.join(30)
    assert counts == [0, 12]
    assert set(repository.requests.values()) == {1}
    assert_whole(libs)


def test_a_fetch_that_was_killed_is_completed_by_the_next(repository, libs):
    repository.delay_s = 0.2
    context = multiprocessing.get_context("fork")
    child = context.Process(target=fetch_in_child, args=(context.Queue(),))
    child.start()
    deadline = time.monotonic() + 20
    while not (libs.is_dir() and any(libs.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.join(10)
    repository.delay_s = 0.0
    came = len(list(libs.iterdir()))
    assert 0 < came < 12
    assert home.ensure_kafka(VERSION).fetched == 12 - came
    assert_whole(libs)


def test_a_server_that_is_busy_for_a_moment_is_asked_again(repository, libs):
    repository.failures[repository.path(FIRST)] = [503]
    home.ensure_kafka(VERSION)
    assert repository.requests[repository.path(FIRST)] == 2
    assert_whole(libs)


def test_a_jar_that_is_not_there_is_named(repository):
    del repository.files[repository.path(FIRST)]
    with pytest.raises(Unreachable, match=r"can't fetch org\.example:jar-0:1\.0 from http://127.*HTTP 404") as caught:
        home.ensure_kafka(VERSION)
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    assert repository.requests[repository.path(FIRST)] == 1


def test_without_jgo_and_without_a_mirror_the_ways_are_named(repository, monkeypatch):
    monkeypatch.delenv("ASGARD_MAVEN_REPO")
    monkeypatch.setitem(__import__("sys").modules, "jgo.constants", None)
    with pytest.raises(Unreachable) as caught:
        home.ensure_kafka(VERSION)
    for way in ("pip install 'asgard-kafka[local]'", "KAFKA_HOME", "ASGARD_MAVEN_REPO"):
        assert way in str(caught.value.hint)


def a_kafka_home(path, version):
    (path / "libs").mkdir(parents=True)
    (path / "libs" / f"kafka-clients-{version}.jar").write_bytes(b"")
    return path


def test_kafka_home_wins(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_HOME", str(a_kafka_home(tmp_path / "kafka", VERSION)))
    found = home.ensure_kafka(VERSION)
    assert (found.source, found.classpath) == ("KAFKA_HOME", f"{tmp_path}/kafka/libs/*")
    assert not repository.requests


def test_a_kafka_home_of_another_version_is_refused_with_both_ways_out(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_HOME", str(a_kafka_home(tmp_path / "kafka", "4.2.0")))
    with pytest.raises(WrongUsage, match=r"holds Kafka 4\.2\.0, but 9\.9\.9 is required") as caught:
        home.ensure_kafka(VERSION)
    assert "Unset KAFKA_HOME" in str(caught.value.hint)


def test_a_kafka_home_without_kafka_is_refused(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(WrongUsage, match="there is no Kafka in"):
        home.ensure_kafka(VERSION)


@pytest.mark.parametrize("version", ["4", "4.3", "latest", "../../etc", "4.3.x", "", "3.9.1", "4.0.0"])
def test_what_can_not_run_here_is_refused_before_anything_is_fetched(repository, version):
    with pytest.raises(WrongUsage):
        home.ensure_kafka(version)
    assert not repository.requests


def test_the_shipped_lock_names_every_jar_exactly():
    lock = jars.shipped(jars.DEFAULT_VERSION)
    names = {jar.coordinate.artifact for jar in lock.jars}
    assert lock.kafka == jars.DEFAULT_VERSION
    assert {"kafka_2.13", "kafka-tools", "kafka-clients", "log4j-core", "log4j-slf4j-impl"} <= names
    assert len({jar.coordinate.file for jar in lock.jars}) == len(lock.jars)
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) and jar.size_bytes > 0 for jar in lock.jars)
    own = {jar.coordinate.version for jar in lock.jars if jar.coordinate.group == "org.apache.kafka"}
    assert own == {jars.DEFAULT_VERSION}


def test_a_lock_file_is_read_back_as_it_was_written():
    assert Lock.parse(LOCK.render(), "here") == Lock(VERSION, tuple(sorted(LOCK.jars, key=lambda j: str(j.coordinate))))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', LOCK.render().replace('"size"', '"sise"')])
def test_a_damaged_lock_file_is_named(text):
    with pytest.raises(Failed, match=r"x\.json is not a lock file"):
        Lock.parse(text, "x.json")
