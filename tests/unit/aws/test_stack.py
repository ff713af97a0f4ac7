"""Stack files for AWS: the templates that ship keep every guardrail, and each mistake is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.core.errors import InvalidFile, Refused, WrongUsage
from asgard.core.shipped import shipped
from asgard.odin.lifecycle import guardrails
from asgard.odin.provider.allocation import allocate
from asgard.odin.spec.read import load
from asgard.odin.targets.aws import words

TEMPLATES = ("aws-ec2", "aws-msk")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_keeps_every_guardrail_and_has_a_price(name: str) -> None:
    found = guardrails.review(load(shipped("templates") / f"{name}.yaml"))
    assert found.breaches == [] and found.resources > 40
    assert sum(line.dollars or 0 for line in found.cost) > 400


EC2 = (
    ("region: eu-central-1", "region: eu-cental-1", "aws.region: is 'eu-cental-1'"),
    ("clients: [10.20.0.0/16]", "clients: [0.0.0.0/0]", "aws.network.clients[0]: is '0.0.0.0/0', the whole internet"),
    ("clients: [10.20.0.0/16]", "clients: [web]", "aws.network.clients[0]: is 'web'; allowed is a CIDR block"),
    (
        "cidr: 10.90.0.0/16",
        "cidr: 10.90.0.0/27",
        "aws.network.cidr: is '10.90.0.0/27'; allowed is a block from /16 to /24",
    ),
    ("cidr: 10.90.0.0/16", "vpc: vpc-1", "aws.network: names a VPC without `subnets`"),
    ("brokers: 3", "brokers: 2", "kafka.brokers: is 2; in prod allowed are 3 or more"),
    ("cidr: 10.90.0.0/16", "zones: 2", "aws.network.zones: is 2; in prod allowed are 3 or more"),
    (
        "brokers: 3",
        "brokers: 3\n  racks: 3",
        "kafka.racks: is for local clusters; on AWS a rack is an availability zone",
    ),
    ("instance_type: m7g.large", "instance_type: large", "aws.instance_type: is 'large'; allowed is an instance type"),
    ("environment: prod", "serverless: true", "aws.serverless: is for `target: aws-msk`"),
    ("tags: {team: data}", "tags: {asgard:stack: x}", "begins with aws: or asgard:"),
    ("stack: orders-eu", "stack: Orders_EU", "stack: is 'Orders_EU'; on AWS allowed are up to 24 small letters"),
    ("target: aws-ec2", "target: local", "aws: is for clusters on AWS; allowed with `target: local` is `kafka`"),
    ("environment: prod", "environment: live", "aws.environment: is 'live'; allowed is dev, staging or prod"),
)


@pytest.mark.parametrize(
    ("right", "wrong", "said"), EC2, ids=[said.partition(":")[0] + str(i) for i, (_, _, said) in enumerate(EC2)]
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    text = (shipped("templates") / "aws-ec2.yaml").read_text()
    assert right in text
    file = tmp_path / "asgard.yaml"
    file.write_text(text.replace(right, wrong, 1))
    with pytest.raises(InvalidFile) as caught:
        load(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{file}:")


def test_a_broken_guardrail_stops_up_unless_it_is_waived_with_a_reason(tmp_path: Path) -> None:
    text = (shipped("templates") / "aws-ec2.yaml").read_text().replace("replication: 3", "replication: 2")
    text = text.replace("min_insync_replicas: 2", "min_insync_replicas: 1")
    file = tmp_path / "asgard.yaml"
    file.write_text(text)
    with pytest.raises(Refused, match=r"durable: orders\.created: has 2 replicas; in prod it needs 3"):
        guardrails.refuse(load(file))
    file.write_text(text.replace("tags: {team: data}", "waive: {durable: a copy of another cluster}"))
    guardrails.refuse(load(file))
    file.write_text(text.replace("tags: {team: data}", "waive: {durabel: typo}"))
    with pytest.raises(WrongUsage, match=r"aws\.waive names 'durabel', which is not a guardrail"):
        guardrails.refuse(load(file))


def test_an_identity_is_kept_when_nodes_are_added_and_certificates_follow_names() -> None:
    hosts = {str(i): f"node-{i}.orders.kafka.internal" for i in (1, 2, 3)}
    before = allocate({"name": "orders", "hosts": hosts, "controllers": ["1", "2", "3"], "users": ["a"]}, {})
    more = {**hosts, "4": "node-4.orders.kafka.internal"}
    after = allocate({"name": "orders", "hosts": more, "controllers": ["1", "2", "3"], "users": ["a", "b"]}, before)
    for kept in ("clusterId", "directoryIds", "adminPassword", "controllerPassword", "caKey", "caCertificate"):
        assert after[kept] == before[kept], kept
    assert {n: after["certificates"][n] for n in hosts} == before["certificates"]
    assert after["userPasswords"]["a"] == before["userPasswords"]["a"] and "b" in after["userPasswords"]

    from cryptography import x509

    pem = after["certificates"]["4"].encode()
    certificate = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERTIFICATE") :])
    ca = x509.load_pem_x509_certificate(after["caCertificate"].encode())
    certificate.verify_directly_issued_by(ca)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node-4.orders.kafka.internal"]


WORDS = (
    ("aws:ebs/volume:Volume", {"size": 100}, {"size": 200}, "data volume orders-1: size (GiB) is 200, was 100"),
    ("aws:ebs/volume:Volume", {"size": 100}, None, "data volume orders-1 is gone"),
    (
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {"cidrIpv4": "10.0.0.0/8"},
        {"cidrIpv4": "0.0.0.0/0"},
        "firewall rule (inwards) orders-1: allowed network is 0.0.0.0/0, was 10.0.0.0/8",
    ),
    ("aws:sqs/queue:Queue", {"a": 1}, {"a": 1}, "Queue orders-1 was changed"),
)


@pytest.mark.parametrize(("token", "old", "new", "said"), WORDS, ids=[w[3][:20] for w in WORDS])
def test_what_changed_is_said_in_words(
    token: str, old: dict[str, object], new: dict[str, object] | None, said: str
) -> None:
    assert words.changed(token, "orders-1", old, new) == said
