"""Tail, peek and trace on a real cluster: what the producers of both libraries stamped is found, shown, masked, and read back."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer
from kafka import KafkaProducer

from asgard.cli.main import main
from asgard.heimdall.stamp import StampedKafkaProducer, StampedProducer, Stamper, forwarded
from asgard.heimdall.trace.partitioners import candidates, java, librdkafka
from asgard.kafka import data, lines
from asgard.kafka.admin import connect
from asgard.kafka.data import Read, Writer
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster

pytestmark = pytest.mark.kafka
PARTITIONS = 7


@pytest.fixture
def topics(secured_cluster: RealCluster, topic_name: str) -> tuple[str, str]:
    names = (f"{topic_name}-raw", f"{topic_name}-next")
    with connect(secured_cluster.connection) as control:
        assert control.create_topics([NewTopic(name, PARTITIONS, 3) for name in names]) == dict.fromkeys(names)
    return names


def options(cluster: RealCluster) -> list[str]:
    return ["--bootstrap-server", cluster.bootstrap_servers, "--command-config", str(cluster.client_properties)]


def everything(cluster: RealCluster, topic: str) -> list[Read]:
    with connect(cluster.connection) as control:
        offsets = control.offsets([(topic, p) for p in range(PARTITIONS)])
    return [record for batch in data.read(cluster.connection, offsets) for record in batch]


@contextmanager
def serving(answer: Any) -> Iterator[str]:
    """A small HTTP server; `answer` is given method, path and body, and gives status, content type and body."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, kind, out = answer(self.command, self.path, body, self.headers)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        do_GET = do_POST = _do  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_an_event_is_traced_over_topics_from_the_partitions_of_its_key_and_its_hops_are_spans(
    secured_cluster: RealCluster, topics: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The first hop is written by kafka-python (Java's partitioner), the second by librdkafka's own (CRC-32)."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    raw, following = topics
    key = next(
        b"order-%d" % i
        for i in range(99)
        if java(b"order-%d" % i, PARTITIONS) != librdkafka(b"order-%d" % i, PARTITIONS)
    )
    first = StampedKafkaProducer(KafkaProducer(**secured_cluster.connection.for_kafka_python()))
    for i in range(20):
        first.send(raw, b'{"id": %d}' % i, key=key if i == 7 else b"other-%d" % i)
    first.producer.flush()
    first.producer.close()
    second = Producer(secured_cluster.connection.for_librdkafka())
    for record in everything(secured_cluster, raw):
        value = b'{"enriched": true}'
        second.produce(following, value, record.key, headers=forwarded(record.headers, value))
    second.flush(30)

    received: list[Any] = []

    def collector(method: str, path: str, body: bytes, headers: Any) -> tuple[int, str, bytes]:
        received.append((method, path, ExportTraceServiceRequest.FromString(body)))
        return 200, "application/x-protobuf", b""

    with serving(collector) as url:
        sent_to = ["--otlp", f"{url}/v1/traces"]
        code = main(["heimdall", "trace", key.decode(), raw, following, "--json", *sent_to, *options(secured_cluster)])
    document = json.loads(capfd.readouterr().out)
    assert code == 0 and document["partitions_read"] == 4 and document["partitions"] == 2 * PARTITIONS
    (event,) = document["events"]
    assert [hop["topic"] for hop in event["hops"]] == [raw, following]
    assert [hop["partition"] for hop in event["hops"]] == [java(key, PARTITIONS), librdkafka(key, PARTITIONS)]
    assert all(hop["intact"] for hop in event["hops"]) and event["hops"][1]["after_ms"] >= 0

    ((method, path, request),) = received
    spans = [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
    assert (method, path, len(spans)) == ("POST", "/v1/traces", 2)
    assert {s.trace_id.hex() for s in spans} == {event["trace"]} and spans[1].parent_span_id == spans[0].span_id
    ends = [lines.moment(s.end_time_unix_nano // 1_000_000) for s in spans]
    assert ends == [hop["at"] for hop in event["hops"]]

    for wanted, by in ((event["event"], []), (event["trace"], []), ("7", ["--by", "field:id"])):
        assert main(["heimdall", "trace", wanted, *topics, *by, "--json", *options(secured_cluster)]) == 0
        (again,) = json.loads(capfd.readouterr().out)["events"]
        assert again["event"] == event["event"] and len(again["hops"]) == (1 if by else 2)
    assert main(["heimdall", "trace", "nobody", *topics, *options(secured_cluster)]) == 1


def test_where_a_key_is_is_where_both_clients_write_it(secured_cluster: RealCluster, topics: tuple[str, str]) -> None:
    keys = [b"k%d" % i * (i % 5 + 1) for i in range(60)]
    java_like = KafkaProducer(**secured_cluster.connection.for_kafka_python())
    for key in keys:
        java_like.send(topics[0], b"v", key=key)
    java_like.flush()
    java_like.close()
    crc = Producer(secured_cluster.connection.for_librdkafka())
    for key in keys:
        crc.produce(topics[1], b"v", key)
    crc.flush(30)
    for topic, computed in zip(topics, (java, librdkafka), strict=True):
        found = {record.key: record.partition for record in everything(secured_cluster, topic)}
        assert found == {key: computed(key, PARTITIONS) for key in keys}
        assert all(found[key] in candidates(key, PARTITIONS) for key in keys)


def test_what_peek_writes_is_read_back_and_written_again_as_it_was(
    secured_cluster: RealCluster, topics: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    producer = StampedProducer(Producer(secured_cluster.connection.for_librdkafka()), Stamper(b"r" * 16))
    values = [b'{"a": 1, "b": "\xc3\xbc"}', b"words", b"\x00\xff", None, b"[1, 2]", b""]
    for i, value in enumerate(values):
        producer.produce(topics[0], value, b"k%d" % i if i != 2 else b"\xff\x00", headers={"n": b"%d" % i})
    producer.producer.flush(30)
    assert main(["heimdall", "peek", topics[0], "--from", "1h", "--json", *options(secured_cluster)]) == 0
    out = capfd.readouterr().out
    with Writer(secured_cluster.connection) as writer:
        writer.send_all(lines.parse(out.splitlines(), "records.jsonl", topic=topics[1]))
    before, after = (
        {(r.key, r.value, r.headers, r.timestamp_ms) for r in everything(secured_cluster, topic)} for topic in topics
    )
    assert before == after and len(after) == len(values)


def test_avro_of_a_registry_is_shown_masked_and_filtered(
    secured_cluster: RealCluster, topics: tuple[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    schema = {
        "type": "record",
        "name": "U",
        "fields": [{"name": "id", "type": "int"}, {"name": "email", "type": "string"}],
    }
    asked: list[str] = []

    def registry(method: str, path: str, body: bytes, headers: Any) -> tuple[int, str, bytes]:
        asked.append(path)
        if headers["Authorization"] != "Basic dTpw":
            return 401, "text/plain", b""
        return 200, "application/json", json.dumps({"schema": json.dumps(schema)}).encode()

    with Writer(secured_cluster.connection) as writer:
        for i in range(30):
            out = io.BytesIO(b"\0\0\0\0\x07")
            out.seek(5)
            fastavro.schemaless_writer(out, fastavro.parse_schema(schema), {"id": i, "email": f"{i}@example.org"})
            writer.send(data.Record(topics[0], out.getvalue(), b"%d" % i))
    masks, properties = tmp_path / "masks.yaml", tmp_path / "client.properties"
    masks.write_text("fields: [{field: email, do: redact}]\n")
    properties.write_text(secured_cluster.client_properties.read_text() + "basic.auth.user.info=u:p\n")
    with serving(registry) as url:
        words = [
            "heimdall",
            "peek",
            topics[0],
            "--last",
            "100",
            "--where",
            "id=17",
            "--registry",
            url,
            "--masks",
            str(masks),
        ]
        words += ["--json", "--bootstrap-server", secured_cluster.bootstrap_servers, "--command-config"]
        assert main([*words, str(properties)]) == 0
        (line,) = capfd.readouterr().out.splitlines()
        assert json.loads(line)["value"] == {"id": 17, "email": "***"} and asked == ["/schemas/ids/7"]
        assert main([*words, str(secured_cluster.client_properties)]) == 1
    assert "401" in capfd.readouterr().err


def test_tail_shows_what_is_there_and_then_what_comes(
    secured_cluster: RealCluster, topics: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    def send(*values: bytes) -> None:
        with Writer(secured_cluster.connection) as writer:
            for value in values:
                writer.send(data.Record(topics[0], value, b"k"))

    send(b"1", b"2", b"3")
    codes: list[int] = []
    words = ["heimdall", "tail", topics[0], "--last", "2", "--limit", "4", "--json", *options(secured_cluster)]
    following = threading.Thread(target=lambda: codes.append(main(words)), daemon=True)
    following.start()
    out = ""
    until = time.monotonic() + 60
    while out.count("\n") < 2 and time.monotonic() < until:
        time.sleep(0.05)
        out += capfd.readouterr().out
    assert [json.loads(line)["value"] for line in out.splitlines()] == [2, 3]
    send(b"4", b"5", b"6")
    following.join(60)
    out += capfd.readouterr().out
    assert codes == [0] and [json.loads(line)["value"] for line in out.splitlines()] == [2, 3, 4, 5]
