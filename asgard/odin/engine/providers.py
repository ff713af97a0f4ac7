"""The provider instances of one run: one for each provider resource, configured with its inputs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from asgard.odin.engine.steps import PROVIDER_PREFIX
from asgard.odin.engine.values import UNKNOWN, Properties, Value, display, reveal
from asgard.odin.engine.wire import to_properties
from asgard.odin.provider.sdk import Provider

ProviderFactory = Callable[[str, frozenset[str]], Provider]
"""Makes a provider for a package name; the URNs are creations that an earlier run began and whose end nobody saw: such a name
may be adopted where it matches. A provider may have `async def close()`, awaited at the end of the run."""


class Providers:
    """Instances by the URN of their provider resource."""

    def __init__(self, factory: ProviderFactory, adopting: frozenset[str]) -> None:
        self._factory = factory
        self._adopting = adopting
        self._ready: dict[str, asyncio.Task[Provider]] = {}
        self._made: list[Provider] = []

    def has(self, urn: str) -> bool:
        """Was this provider configured in this run?"""
        return urn in self._ready

    def bare(self, package: str) -> Provider:
        """A provider that is not configured yet, for checks of its configuration."""
        provider = self._factory(package, self._adopting)
        self._made.append(provider)
        return provider

    async def configure(self, urn: str, inputs: Properties) -> Provider:
        """Make and configure the provider of a provider resource; again, where its inputs have changed."""
        self._ready[urn] = asyncio.ensure_future(self._configure(urn, inputs))
        return await self._ready[urn]

    async def get(self, urn: str, inputs: Callable[[], Properties]) -> Provider:
        """The provider; configured with what `inputs` gives (its inputs in the state) where this run has not done it yet."""
        if urn not in self._ready:
            self._ready[urn] = asyncio.ensure_future(self._configure(urn, inputs()))
        return await self._ready[urn]

    async def _configure(self, urn: str, inputs: Properties) -> Provider:
        from asgard.odin.provider.sdk import ConfigureRequest

        package = package_of(urn)
        provider = self.bare(package)
        arguments = {
            key: value for key, value in inputs.items() if key not in ("version", "__internal", "pluginDownloadURL")
        }
        variables = {
            f"{package}:config:{key}": _text(value) for key, value in arguments.items() if reveal(value) is not UNKNOWN
        }
        await provider.configure(ConfigureRequest(variables, to_properties(arguments), True, True))
        return provider

    async def close(self) -> None:
        """Let go of what the providers hold."""
        closing: list[Awaitable[Any]] = [provider.close() for provider in self._made if hasattr(provider, "close")]
        await asyncio.gather(*closing)


def package_of(urn: str) -> str:
    """The package that a provider resource's URN names."""
    return urn.split("::")[2].rpartition("$")[2].removeprefix(PROVIDER_PREFIX)


def _text(value: Value) -> str:
    plain = reveal(value)
    return plain if isinstance(plain, str) else json.dumps(display(plain))
