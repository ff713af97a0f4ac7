"""The program in docs/pulumi.md does what the page says, and the page names every property."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from asgard.kafka.admin import check_login
from asgard.kafka.connection import Connection, scram_properties
from asgard.odin.provider.provider import AsgardProvider
from asgard.odin.resources.kinds import KINDS
from tests.harness import leaked_processes
from tests.provider_driver import Driver, urn_of

pytestmark = pytest.mark.kafka
PAGE = (Path(__file__).parents[2] / "docs" / "pulumi.md").read_text()
PROVIDER = "pulumi:providers:asgard"
_REFERENCE = re.compile(r"\$\{([^}]+)\}")


def resolved(value: Any, known: dict[str, Any]) -> Any:
    """A value of a Pulumi YAML program with its `${…}` filled in."""
    if isinstance(value, dict):
        return {key: resolved(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, known) for item in value]
    if not isinstance(value, str):
        return value

    def look_up(path: str) -> Any:
        found: Any = known
        for name, index in re.findall(r"([A-Za-z]\w*)|\[(\d+)\]", path):
            found = found[name] if name else found[int(index)]
        return found

    whole = _REFERENCE.fullmatch(value)
    return look_up(whole[1]) if whole else _REFERENCE.sub(lambda match: str(look_up(match[1])), value)


def test_the_program_makes_a_cluster_a_topic_and_a_user_who_may_write(own_home: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.S)
    assert block
    program = yaml.safe_load(block[1])

    async def story() -> None:
        driver = Driver(AsgardProvider())
        known: dict[str, Any] = {"ordersApiPassword": "from the config"}

        async def up() -> list[str]:
            done = []
            for name, resource in program["resources"].items():
                inputs = resolved(resource["properties"], known)
                if resource["type"] == PROVIDER:
                    await driver.provider.configure(inputs)
                    known[name] = inputs
                    continue
                done.append(await driver.up(resource["type"], name, inputs))
                known[name] = driver.state[urn_of(resource["type"], name)][1]
            return done

        assert await up() == ["create"] * 7
        assert await up() == ["same"] * 7
        user = scram_properties("orders-api", "from the config")
        assert check_login(Connection(known["ready"]["bootstrapServers"], user)) is None
        for name, resource in reversed(program["resources"].items()):
            if resource["type"] != PROVIDER:
                await driver.delete(resource["type"], name)
        assert driver.state == {}
        await driver.provider.close()

    asyncio.run(story())
    assert not leaked_processes(own_home)


def test_the_page_names_every_type_and_input() -> None:
    for kind in KINDS.values():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{kind.token}`"))
        for field in kind.inputs:
            assert f"`{field.name}`" in row, f"{kind.token}.{field.name}"
