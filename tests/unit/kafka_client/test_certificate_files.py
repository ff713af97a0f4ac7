"""Certificates that client properties name: PEM files that are there, for both client libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.core.errors import WrongUsage
from asgard.kafka.connection import Connection

SERVERS = "127.0.0.1:9093"


def test_a_certificate_file_reaches_both_libraries(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    connection = Connection(SERVERS, {"security.protocol": "SSL", "ssl.truststore.location": str(ca)})
    assert connection.for_kafka_python()["ssl_cafile"] == str(ca)
    assert connection.for_librdkafka()["ssl.ca.location"] == str(ca)


@pytest.mark.parametrize("key", ["ssl.truststore.location", "ssl.keystore.location"])
def test_a_certificate_file_that_is_not_there_is_named(tmp_path: Path, key: str) -> None:
    connection = Connection(SERVERS, {"security.protocol": "SSL", key: str(tmp_path / "gone.pem")})
    for build in (connection.for_kafka_python, connection.for_librdkafka):
        with pytest.raises(WrongUsage, match=rf"{key} names .*gone\.pem, and there is no such file"):
            build()


def test_a_java_key_store_is_refused_with_the_way_to_go() -> None:
    connection = Connection(SERVERS, {"ssl.truststore.type": "JKS", "ssl.truststore.location": "ca.jks"})
    with pytest.raises(WrongUsage, match="read PEM only"):
        connection.for_kafka_python()
