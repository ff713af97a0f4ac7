"""What a program declares, without an engine, an account or a network: for guardrails, cost and tests.

The program runs on the SDK's own mock monitor. Values that only AWS knows (ids, ARNs, zones) are invented in AWS's
form, so that policies and user data can be rendered and checked.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

from asgard.odin.provider.allocation import allocate
from asgard.odin.resources.kinds import ALLOCATION
from asgard.odin.targets.aws.guardrails import Declared

ACCOUNT = "123456789012"
_HIDDEN = "[secret]"


def declare(program: Callable[[], None], region: str = "eu-central-1") -> list[Declared]:
    """Every resource of the program, in the order of registration."""
    # The SDK keeps its monitor and root stack in context variables: in a copy they end with this call.
    return contextvars.copy_context().run(_declare, program, region)


def _declare(program: Callable[[], None], region: str) -> list[Declared]:
    import pulumi
    from pulumi.runtime import mocks

    found: list[Declared] = []

    class Recorder(mocks.Mocks):
        def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
            if args.typ.startswith("pulumi:"):
                return f"{args.name}-id", dict(args.inputs)
            found.append(Declared(args.typ, args.name, _plain(args.inputs)))
            return f"{args.name}-id", {**args.inputs, **_outputs(args, region)}

        def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
            return _answer(args.token, args.args, region), []

    async def run() -> None:
        program()
        await pulumi.runtime.stack.wait_for_rpcs()

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        mocks.set_mocks(Recorder(), project="asgard", stack="declared", preview=False)
        loop.run_until_complete(run())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if "4dabf18193072939515e22adb298388d" in value:
            return _HIDDEN if "value" in value else None
        return {k: _plain(value[k]) for k in sorted(value)}  # the SDK's wire format has no order
    if isinstance(value, list):
        return [_plain(v) for v in value]
    # An asset: its content is ignored.
    return "[file]" if hasattr(value, "path") else value


def _outputs(args: Any, region: str) -> dict[str, Any]:
    """What AWS would add: an ARN in its form, addresses, versions."""
    if args.typ == ALLOCATION:
        return allocate(args.inputs, {})
    module, _, kind = args.typ.partition("/")
    service = module.removeprefix("aws:")
    name = args.name
    arns = {
        "aws:s3/bucket:Bucket": f"arn:aws:s3:::{args.inputs.get('bucketPrefix', name)}",
        "aws:ebs/volume:Volume": f"arn:aws:ec2:{region}:{ACCOUNT}:volume/vol-{name}",
        "aws:ec2/networkInterface:NetworkInterface": f"arn:aws:ec2:{region}:{ACCOUNT}:network-interface/eni-{name}",
    }
    return {
        "arn": arns.get(args.typ, f"arn:aws:{service}:{region}:{ACCOUNT}:{kind.partition(':')[0]}/{name}"),
        "bucket": args.inputs.get("bucket") or str(args.inputs.get("bucketPrefix", name)),
        "privateIp": "10.90.0.10",
        "latestVersion": 1,
        "versionId": f"version-of-{name}",
        "secretArn": f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret/{name}",
        "latestRevision": 1,
        "zoneId": f"Z{name.upper()}",
        "keyId": f"key-{name}",
        "bootstrapBrokersSaslScram": f"b-1.{name}.kafka:9096",
        "bootstrapBrokersSaslIam": f"b-1.{name}.kafka:9098",
    } | ({"name": args.inputs.get("name", name)} if "name" not in args.inputs else {})


def _answer(token: str, asked: dict[str, Any], region: str) -> dict[str, Any]:
    letters = "abcdef"
    match token:
        case "aws:index/getAvailabilityZones:getAvailabilityZones":
            return {
                "names": [f"{region}{letter}" for letter in letters],
                "zoneIds": [f"{region[:3]}1-az{i + 1}" for i in range(len(letters))],
            }
        case "aws:ec2/getSubnet:getSubnet":
            return {"availabilityZone": f"{region}a", "availabilityZoneId": f"{region[:3]}1-az1", "id": asked.get("id")}
        case "aws:ec2/getVpc:getVpc":
            return {"cidrBlock": "10.0.0.0/16", "id": asked.get("id")}
        case "aws:index/getRegion:getRegion":
            return {"region": region, "name": region}
        case "aws:ec2/getManagedPrefixList:getManagedPrefixList":
            return {"id": "pl-s3"}
        case "aws:ssm/getParameter:getParameter":
            return {"value": "ami-0123456789abcdef0"}
    return {}
