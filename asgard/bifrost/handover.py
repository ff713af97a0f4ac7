"""Ways to hand a password over: sealed for the requester's public key, or as client configuration in the language they use.

Nothing here keeps a secret. A public key is 32 bytes in base64 (X25519); `asgard bifrost keygen` makes a pair, `unseal` opens.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from asgard.core.errors import WrongUsage
from asgard.kafka.connection import Connection, render_properties

LANGUAGES = ("java", "python", "go", "librdkafka", "kcat")


def new_pair() -> tuple[str, str]:
    """A private and a public key, in base64."""
    from nacl.public import PrivateKey

    key = PrivateKey.generate()
    return base64.b64encode(bytes(key)).decode(), base64.b64encode(bytes(key.public_key)).decode()


def sealed(text: str, public_key: str) -> str:
    """Text that only the holder of the private key can read, in base64."""
    from nacl.public import PublicKey, SealedBox

    return base64.b64encode(SealedBox(PublicKey(_key(public_key, "public"))).encrypt(text.encode())).decode()


def unsealed(text: str, private_key: str) -> str:
    """The way back. Raises WrongUsage where the key does not fit."""
    from nacl.exceptions import CryptoError
    from nacl.public import PrivateKey, SealedBox

    try:
        data = base64.b64decode(text.strip(), validate=True)
        return SealedBox(PrivateKey(_key(private_key, "private"))).decrypt(data).decode()
    except (CryptoError, binascii.Error, ValueError) as error:
        raise WrongUsage("this does not open with that private key") from error


def _key(text: str, kind: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise WrongUsage(
            f"that is no {kind} key: allowed are 32 bytes in base64", "`asgard bifrost keygen` makes a pair."
        )
    return key


def check_public_key(text: str) -> None:
    """Raise WrongUsage where a text is no public key."""
    _key(text, "public")


def snippet(
    language: str, connection: Connection, *, topic: str = "TOPIC", group: str = "GROUP", password: str | None = None
) -> str:
    """Client configuration ready to paste. Without `password` a placeholder stands in its place."""
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
