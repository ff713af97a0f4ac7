"""Archives without a cluster: manifests, files, who may write, what is damaged."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, replace
from pathlib import Path

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgard.core.errors import Failed, Unreachable
from asgard.thor.archive import ledger, location, manifest, prune, read, verify
from asgard.thor.archive.container import Container, blocks
from asgard.thor.archive.manifest import Damaged
from asgard.thor.archive.model import ArchivedTopicFacts, Codec, Gap, Head, Shard, fresh, joined, unexplained
from asgard.thor.archive.storage import Storage

SHARD = Shard("orders", "kX9-_bT2RzqkA0x1", 0)
FACTS = ArchivedTopicFacts(1, 3, {"retention.ms": "1000"})


@dataclass(frozen=True)
class Message:
    """What a container wants of a message of confluent-kafka."""

    at: int
    ms: int
    of_key: bytes | None
    of_value: bytes | None
    of_headers: list[tuple[str, bytes | None]] | None

    def __len__(self) -> int:
        return len(self.of_value or b"")

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, self.ms

    def key(self) -> bytes | None:
        return self.of_key

    def value(self) -> bytes | None:
        return self.of_value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self.of_headers


def messages(count: int, start: int = 0) -> list[Message]:
    return [Message(start + n, 1000 + start + n, b"k%d" % n, b"v" * (n % 50), [("h", None)]) for n in range(count)]


def archived(place: Storage, batches: int = 4, size: int = 200) -> Head:
    """One partition with so many files."""
    head = ledger.claim(place, fresh(SHARD, "cluster", 0), "me", 1.0, FACTS, {"g": 7})
    shard = head.shard
    for n in range(batches):
        container = Container(place.workplace() / f"{n}.avro", shard, head.end, "deflate", 4096)
        container.append(messages(size, head.end))
        file = container.finish(manifest.data_name(shard, head.end, head.claim), container.end, 5.0 + n)
        head = ledger.add(place, ledger.paged(place, head, 2), None, (file, container.path), 5.0 + n, {"g": 9})
    return head


OPTIONAL = st.none() | st.binary(max_size=300) | st.integers(0, 20_000).map(bytes)
NOW_MS = st.integers(1_790_000_000_000, 1_790_000_000_999)


@settings(max_examples=30, deadline=None)
@given(
    records_=st.lists(
        st.tuples(
            st.just(1) | st.integers(1, 2**40),
            NOW_MS | st.integers(-1, 2**45),
            OPTIONAL,
            OPTIONAL,
            st.none() | st.lists(st.tuples(st.text(max_size=20), OPTIONAL), max_size=4),
        ),
        min_size=1,
        max_size=30,
    ),
    codec=st.sampled_from(["zstandard", "deflate"]),
    block=st.sampled_from([1, 100, 100_000]),
)
def test_any_record_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, records_: list[tuple[object, ...]], codec: Codec, block: int
) -> None:
    path = tmp_path_factory.mktemp("avro") / "x.avro"
    at, sent = -1, []
    for step, ms, key, value, headers in records_:
        at += step  # type: ignore[operator]
        sent.append(Message(at, ms, key, value, headers))  # type: ignore[arg-type]
    container = Container(path, SHARD, 0, codec, block)
    container.append(sent)
    file = container.finish("x", container.end, 0.0)
    back = [r for found in blocks(path, "orders", file) for r in found]
    assert [(r.partition, r.offset, r.timestamp_ms, r.key, r.value, list(r.headers)) for r in back] == [
        (0, m.at, m.ms, m.of_key, m.of_value, m.of_headers or []) for m in sent
    ]
    with path.open("rb") as content:
        plain = [(r["offset"], r["timestamp"], r["key"], r["value"]) for r in fastavro.reader(content)]
    assert plain == [(m.at, m.ms, m.of_key, m.of_value) for m in sent], "any Avro library reads the same"
    assert (file.first_ms, file.last_ms) == (min(m.ms for m in sent), max(m.ms for m in sent))


def test_only_one_of_two_writers_goes_on(tmp_path: Path) -> None:
    place = location.open_storage(str(tmp_path))
    first = archived(place, 1)
    second = ledger.claim(place, first, "other", 9.0, FACTS, {})
    container = Container(place.workplace() / "late.avro", SHARD, first.end, "deflate", 4096)
    container.append(messages(10, first.end))
    file = container.finish(manifest.data_name(SHARD, first.end, first.claim), container.end, 9.0)
    with pytest.raises(ledger.Fenced):
        ledger.add(place, first, None, (file, container.path), 9.0, {})
    with pytest.raises(ledger.Fenced):
        ledger.claim(place, first, "me again, from an old look", 9.0, FACTS, {})
    newest = ledger.read(place, SHARD, ledger.index_of(place, SHARD))
    assert newest == second and file.name not in {f.name for f in ledger.files(place, newest)}
    third = ledger.claim(place, newest, "third", 10.0, FACTS, {})
    assert not (tmp_path / file.name).exists(), "the next owner deletes what a former one left"
    assert verify.verify(place).strays == [] and third.end == first.end


def test_a_writer_that_slept_through_many_manifests_does_no_harm(tmp_path: Path) -> None:
    place = location.open_storage(str(tmp_path))
    asleep = archived(place, 1)
    head = asleep
    for n in range(6):
        head = ledger.claim(place, head, f"writer {n}", 9.0, FACTS, {})
    assert not (tmp_path / manifest.head_name(SHARD, asleep.seq + 1)).exists()
    with pytest.raises(ledger.Fenced):
        ledger.claim(place, asleep, "asleep", 9.0, FACTS, {})
    with pytest.raises(ledger.Fenced):
        prune.drop(place, prune.Drop(asleep, asleep.files))
    assert (tmp_path / asleep.files[0].name).exists()
    assert ledger.read(place, SHARD, ledger.index_of(place, SHARD)) == head


@pytest.mark.parametrize("seed", range(3))
def test_every_damage_is_found_named_and_never_read(tmp_path: Path, seed: int) -> None:
    """A sample; tests/proof/thor_archive.py has the full count."""
    place = location.open_storage(str(tmp_path))
    archived(place)
    assert verify.verify(place).damaged == []
    assert damages(tmp_path, place, 40, seed) == []


def damages(root: Path, place: Storage, count: int, seed: int) -> list[str]:
    """Damage one file after the other, by a flipped bit or a cut; which of it was not found by verify, or was read."""
    rnd = random.Random(seed)
    files = sorted(p for tree in ("data", "manifests") for p in (root / tree).rglob("*") if p.is_file())
    newest = max(p for p in files if p.name.startswith("head-"))
    used = [p for p in files if not p.name.startswith("head-") or p == newest]
    whole = [r.value for r in _read_all(place)]
    missed = []
    for n in range(count):
        path = rnd.choice(files)
        before = path.read_bytes()
        if n % 3 == 0:
            what, after = "cut", before[: rnd.randrange(len(before))]
        else:
            at = rnd.randrange(len(before))
            what, after = "flip", before[:at] + bytes([before[at] ^ (1 << rnd.randrange(8))]) + before[at + 1 :]
        path.write_bytes(after)
        name = path.relative_to(root).as_posix()
        if name not in [found for found, _ in verify.verify(place).damaged]:
            missed.append(f"{what} of {name} was not found")
        try:
            got = [r.value for r in _read_all(place)]
            if path in used or got != whole:
                missed.append(f"{what} of {name} was read")
        except Failed as error:
            if name not in f"{error.what}":
                missed.append(f"{what} of {name} was not named: {error.what}")
        path.write_bytes(before)
    return missed


def _read_all(place: Storage) -> list[read.Read]:
    plan = read.plan(place, read.TopicWindow())
    read.refuse_damaged(plan, allowed=False)
    return [r for shard, files in plan.files.items() for f in files for b in read.blocks(plan, shard, f) for r in b]


def test_missing_pieces_are_damage_too(tmp_path: Path) -> None:
    place = location.open_storage(str(tmp_path))
    head = archived(place)
    (tmp_path / head.files[-1].name).unlink()
    assert (head.files[-1].name, "is missing") in verify.verify(place).damaged
    with pytest.raises(Failed, match=r"nothing was replayed: data/orders"):
        _read_all(place)
    assert head.pages, "the first files are on a page"
    (tmp_path / head.pages[0].name).unlink()
    assert (head.pages[0].name, "is missing") in verify.verify(place).damaged


def test_prune_takes_old_files_from_the_beginning_and_leaves_the_rest_whole(tmp_path: Path) -> None:
    place = location.open_storage(str(tmp_path))
    head = archived(place, batches=5)
    files = ledger.files(place, head)
    assert len(head.pages) == 2
    cut = files[2].last_ms
    assert cut is not None
    (drop,) = prune.choose(place, cut + 1)
    assert drop.files == files[:3]
    prune.drop(place, drop)
    verdict = verify.verify(place)
    assert (verdict.damaged, verdict.strays, verdict.files) == ([], [], 2)
    assert [r.offset for r in _read_all(place)] == list(range(files[3].start, head.end))
    assert prune.choose(place, cut + 1) == []


def test_a_prune_that_was_killed_and_one_with_a_later_date_leave_the_archive_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = location.open_storage(str(tmp_path))
    head = archived(place, batches=6)
    files = ledger.files(place, head)
    page = ledger.write_page(place, SHARD, head.seq, files)
    ledger.write(place, replace(head, seq=head.seq + 1, pages=(page,), files=()))
    write = ledger.write

    def killed(storage: Storage, head: Head) -> Head:
        raise Unreachable("killed")

    for files_gone, written in ((2, killed), (4, write)):
        monkeypatch.setattr(ledger, "write", written)
        (drop,) = prune.choose(place, files[files_gone].first_ms or 0)
        assert drop.files == files[:files_gone]
        with contextlib.suppress(Unreachable):
            prune.drop(place, drop)
    assert verify.verify(place).damaged == []
    assert [r.offset for r in _read_all(place)] == list(range(files[4].start, head.end))


def test_names_are_given_once_and_those_of_older_versions_are_understood() -> None:
    first, second = (manifest.data_name(SHARD, 7, 3) for _ in range(2))
    assert first != second and manifest.claim_of(first) == manifest.claim_of(second) == 3
    assert manifest.claim_of(f"data/{SHARD.path}/{7:020d}-{3:010d}.avro") == 3
    assert manifest.page_name(SHARD, 7, "a" * 64) != manifest.page_name(SHARD, 7, "b" * 64)


def test_an_archive_of_an_older_version_is_read_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = location.open_storage(str(tmp_path))
    with monkeypatch.context() as older:
        older.setattr(
            manifest, "data_name", lambda shard, start, claim: f"data/{shard.path}/{start:020d}-{claim:010d}.avro"
        )
        older.setattr(manifest, "page_name", lambda shard, seq, sha256: f"manifests/{shard.path}/page-{seq:010d}.json")
        head = archived(place)
    ledger.claim(place, head, "newer", 9.0, FACTS, {})
    assert (verify.verify(place).damaged, verify.verify(place).strays) == ([], [])
    assert [r.offset for r in _read_all(place)] == list(range(head.end))


def test_what_offsets_a_manifest_does_not_explain_is_reckoned() -> None:
    head = replace(fresh(SHARD, "c", 5), end=30)
    assert unexplained(head, ()) == [(5, 30)]
    assert unexplained(replace(head, gaps=(Gap(5, 30, "expired"),)), ()) == []
    assert joined((Gap(5, 9, "expired"), Gap(0, 5, "expired"))) == (Gap(0, 9, "expired"),)
    with pytest.raises(Damaged, match="another name"):
        manifest.decode_head(manifest.head_name(SHARD, 8), manifest.encode_head(replace(head, seq=7)))
