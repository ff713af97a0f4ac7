"""Properties files, JAAS lines and addresses, read as Java reads them. The right values are Java's own answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.errors import Unreachable, WrongUsage
from asgard.kafka.addresses import address, split, wrong_servers
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.kafka.properties import jaas_options, parse_properties, render_properties

SCRAM = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a=1", {"a": "1"}),
        ("a = 1", {"a": "1"}),
        ("a: 1", {"a": "1"}),
        ("a:1=2", {"a": "1=2"}),
        ("a=1:2", {"a": "1:2"}),
        ("a 1", {"a": "1"}),
        ("a\t:\t1  ", {"a": "1"}),
        ("a", {"a": ""}),
        ("sasl.jaas.config: M required username='x=y';", {"sasl.jaas.config": "M required username='x=y';"}),
        ("a\\=b=c", {"a=b": "c"}),
        ("a\\ b c", {"a b": "c"}),
        ("a=1\\\n   2\\\n3", {"a": "123"}),
        ("a=1\\\\\nb=2", {"a": "1\\", "b": "2"}),
        ("# a=1\n! b=2\n  # c=3\nd=4", {"d": "4"}),
        ("# not continued \\\nb=2", {"b": "2"}),
        ("a=#1", {"a": "#1"}),
        ("a=p\\u00e4ss\\tword", {"a": "päss\tword"}),
        ("a=\\uD83D\\uDE00", {"a": "😀"}),
        ('a=\\q\\"', {"a": 'q"'}),
        ("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1\na=2", {"a": "2"}),
    ],
)
def test_a_properties_file(text: str, meant: dict[str, str]) -> None:
    assert parse_properties(text) == meant


def test_a_malformed_escape_is_refused() -> None:
    with pytest.raises(WrongUsage, match="four hexadecimal digits"):
        parse_properties("a=\\u12")


@given(st.dictionaries(st.from_regex(r"[a-z.]{1,20}", fullmatch=True), st.text().map(str.strip)))
def test_what_is_written_is_read_back(properties: dict[str, str]) -> None:
    text = render_properties(properties)
    assert text.isascii() and parse_properties(text) == properties


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ('username="u" password="p";', ("u", "p")),
        ("username='u' password='p';", ("u", "p")),
        ("username=u password=p-w_1.x$;", ("u", "p-w_1.x$")),
        ('username = "u"\tpassword = "p" ;', ("u", "p")),
        ('username="a\\"b" password="c\\\\d";', ('a"b', "c\\d")),
        ('username="o\'hara" password=\'say "x"\';', ("o'hara", 'say "x"')),
        ('username="u" password="a=b;c // d";', ("u", "a=b;c // d")),
        ('username="u" /* the old one */ password="\\101\\n" // end\n;', ("u", "A\n")),
        ('username="ü" password=é;', ("ü", "é")),
        ('serviceName="k" password="p" username="u";', ("u", "p")),
    ],
)
def test_a_jaas_line(options: str, meant: tuple[str, str]) -> None:
    line = f"org.apache.kafka.common.security.scram.ScramLoginModule required {options}"
    found = jaas_options(line)
    assert (found["username"], found["password"]) == meant
    connection = Connection("k:1", {**SCRAM, "sasl.jaas.config": line})
    conf = connection.for_librdkafka()
    assert (conf["sasl.username"], conf["sasl.password"]) == meant and connection.username == meant[0]
    python = connection.for_kafka_python()
    assert (python["sasl_plain_username"], python["sasl_plain_password"]) == meant


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "is missing"),
        ("M required username=u password=1234;", "gives password no value in quotes: a number"),
        ('M required username="u" password="p"', "semicolon"),
        ('M required username="u" password="p;', "never closed"),
        ('M required username="u" password=a/b;', "has a / outside quotes"),
        ('M required username="" password="p";', "has no username"),
        ('M required username="u";', "has no password"),
        ('M required password="p";', "has no username"),
        ('username="u" password="p";', "must begin with a login module"),
        ('M required username="u" password="p"; N required;', "more than one login module"),
        ('M required username="u" password;', "gives password no value"),
    ],
)
def test_a_jaas_line_that_java_refuses_is_refused_and_never_shown(line: str, words: str) -> None:
    properties = {**SCRAM, "sasl.jaas.config": line} if line else dict(SCRAM)
    with pytest.raises(WrongUsage, match=words) as raised:
        Connection("k:1", properties).for_librdkafka()
    assert "1234" not in str(raised.value)


def test_a_mechanism_that_asgard_cant_log_in_with_is_named() -> None:
    for properties, words in (
        ({"security.protocol": "SASL_SSL"}, "sasl.mechanism is GSSAPI"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}, "sasl.mechanism is OAUTHBEARER"),
    ):
        with pytest.raises(WrongUsage, match=words):
            Connection("k:1", properties).for_kafka_python()


@pytest.mark.parametrize(
    ("servers", "pairs"),
    [
        ("kafka-1:9092", [("kafka-1", 9092)]),
        ("kafka-1:9092, kafka_2:9093", [("kafka-1", 9092), ("kafka_2", 9093)]),
        ("[2001:db8::7]:9092", [("2001:db8::7", 9092)]),
        ("[fe80::1%eth0]:9092,[::1]:1", [("fe80::1%eth0", 9092), ("::1", 1)]),
    ],
)
def test_bootstrap_servers(servers: str, pairs: list[tuple[str, int]]) -> None:
    assert wrong_servers(servers) is None
    assert split(servers) == pairs
    assert ",".join(address(*pair) for pair in pairs) == servers.replace(" ", "")


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ("2001:db8::7:9092", r"an IPv6 address in brackets, as in [2001:db8::7]:9092"),
        ("fe80::1%eth0:9092", r"an IPv6 address in brackets, as in [fe80::1%eth0]:9092"),
        ("kafka-1", "HOST:PORT"),
        ("kafka-1:0", "HOST:PORT"),
        ("kafka-1:65536", "HOST:PORT"),
        ("", "HOST:PORT"),
        ("a:1,,b:2", "HOST:PORT"),
    ],
)
def test_servers_that_are_no_address(servers: str, words: str) -> None:
    assert words in (wrong_servers(servers) or "")


def test_an_ipv6_address_where_nobody_answers_keeps_its_brackets() -> None:
    with pytest.raises(Unreachable) as raised:
        connect(Connection("[::1]:1"), deadline_s=0.3, patience_s=0.3)
    assert "([::1]:1: " in raised.value.what
