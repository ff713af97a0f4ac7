"""Kafka's error codes in words, ids in Kafka's form, and changes of one resource merged."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from asgard.core.errors import ExitCode
from asgard.kafka.admin import NotAuthorised, errors
from asgard.kafka.admin.cluster import id_text, parse_id
from asgard.kafka.admin.configs import _merged
from asgard.kafka.admin.security import acl_text, quota_text
from asgard.kafka.model import Acl, ConfigChange, QuotaEntity


def test_a_missing_acl_names_user_and_acl() -> None:
    error = errors.refusal(29, None, "create topic orders", user="ann", needs="CREATE on topic orders")
    assert isinstance(error, NotAuthorised)
    assert str(error) == "not authorised to create topic orders\nThe user ann needs CREATE on topic orders."


def test_kafkas_own_reason_is_kept_and_a_bare_code_gets_words() -> None:
    assert "has 3 partitions (invalid partitions)" in str(errors.refusal(37, "It has 3 partitions.", "x", user=None))
    assert "unknown topic or partition (Kafka's error 3)" in str(errors.refusal(3, None, "x", user=None))


def test_the_hint_fits_what_the_servers_did() -> None:
    tls = errors.no_answer("h:1", {"h:1": OSError("[SSL: WRONG_VERSION_NUMBER] wrong version number")})
    assert tls.exit_code is ExitCode.UNREACHABLE and "does not speak TLS" in (tls.hint or "")
    untrusted = errors.no_answer("h:1", {"h:1": OSError("certificate verify failed: self-signed certificate")})
    assert "ssl.truststore.location" in (untrusted.hint or "")
    sasl = errors.no_answer("h:1", {"h:1": OSError("socket disconnected")})
    assert "security.protocol" in (sasl.hint or "")


@given(st.uuids())
def test_ids_read_back_from_kafkas_form(value: uuid.UUID) -> None:
    assert parse_id(id_text(value)) == value
    assert len(id_text(value)) == 22


def test_two_changes_of_one_resource_become_one_and_the_later_counts() -> None:
    merged = _merged(
        [
            ConfigChange("topic", "t", {"a": "1", "b": "1"}, ("c",)),
            ConfigChange("topic", "t", {"c": "2"}, ("a", "d")),
            ConfigChange("broker", "t", {"a": "9"}),
        ]
    )
    assert merged["topic", "t"] == ConfigChange("topic", "t", {"b": "1", "c": "2"}, ("a", "d"))
    assert merged["broker", "t"].set == {"a": "9"}


def test_acls_and_quotas_read_as_a_person_says_them() -> None:
    assert acl_text(Acl("TOPIC", "t", "LITERAL", "User:a", "READ")) == "User:a ALLOW READ on TOPIC t (LITERAL) from *"
    assert quota_text(QuotaEntity("a", "")) == "user a, client id any"
