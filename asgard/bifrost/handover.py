"""Client configuration in the language that people use. Nothing here stores a secret."""

from __future__ import annotations

from collections.abc import Callable

from asgard.core.errors import WrongUsage
from asgard.kafka.connection import Connection, render_properties

LANGUAGES = ("java", "python", "go", "librdkafka", "kcat")


def snippet(
    language: str, connection: Connection, *, topic: str = "TOPIC", group: str = "GROUP", password: str | None = None
) -> str:
    """Client configuration ready to paste. Without `password` it has a placeholder instead."""
    makers: dict[str, Callable[[dict[str, str], str, str], str]] = {
        "java": _java,
        "python": _python,
        "go": _go,
        "librdkafka": _librdkafka,
        "kcat": _kcat,
    }
    if language not in makers:
        raise WrongUsage(f"there is no snippet for {language!r}", f"Languages: {', '.join(LANGUAGES)}.")
    conf = connection.for_librdkafka()
    conf["sasl.password"] = password if password is not None else "<password>"
    return makers[language](conf, topic, group)


def _java(conf: dict[str, str], topic: str, group: str) -> str:
    from asgard.kafka.connection import scram_properties

    tls = conf["security.protocol"] == "SASL_SSL"
    properties = scram_properties(
        conf["sasl.username"], conf["sasl.password"], tls=tls, mechanism=conf["sasl.mechanism"]
    )
    return f"# client.properties\nbootstrap.servers={conf['bootstrap.servers']}\n{render_properties(properties)}group.id={group}\n"


def _python(conf: dict[str, str], topic: str, group: str) -> str:
    lines = "".join(f"    {key!r}: {value!r},\n" for key, value in conf.items())
    return (
        f"from confluent_kafka import Consumer, Producer\n\nconf = {{\n{lines}}}\n"
        f"producer = Producer({{**conf, 'acks': 'all', 'enable.idempotence': True}})\n"
        f"producer.produce({topic!r}, value=b'hello')\nproducer.flush()\n\n"
        f"consumer = Consumer({{**conf, 'group.id': {group!r}, 'auto.offset.reset': 'earliest'}})\n"
        f"consumer.subscribe([{topic!r}])\nprint(consumer.poll(10).value())\nconsumer.close()\n"
    )


def _go(conf: dict[str, str], topic: str, group: str) -> str:
    import json

    lines = "".join(
        f"\t{json.dumps(key)}: {json.dumps(value)},\n" for key, value in {**conf, "group.id": group}.items()
    )
    return (
        "// go get github.com/confluentinc/confluent-kafka-go/v2/kafka\n"
        f"conf := kafka.ConfigMap{{\n{lines}}}\nconsumer, err := kafka.NewConsumer(&conf)\n"
        f"err = consumer.SubscribeTopics([]string{{{json.dumps(topic)}}}, nil)\n"
    )


def _librdkafka(conf: dict[str, str], topic: str, group: str) -> str:
    return "".join(f"{key}={value}\n" for key, value in {**conf, "group.id": group}.items())


def _kcat(conf: dict[str, str], topic: str, group: str) -> str:
    # In a file: a password among the arguments could be read by every user of the machine.
    return f"# kcat.conf\n{_librdkafka(conf, topic, group)}# kcat -F kcat.conf -C -t {topic} -e\n# echo hello | kcat -F kcat.conf -P -t {topic}\n"
