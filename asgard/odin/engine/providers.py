"""The provider instances of one run: one for each provider resource, configured with its inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asgard.odin.engine.steps import PROVIDER_PREFIX
from asgard.odin.provider.protocol import Provider, type_of
from asgard.odin.resources.values import Values

ProviderFactory = Callable[[str, frozenset[str]], Provider]
"""Creates a provider for a package name. The URNs are creations that an earlier run began and whose outcome is unknown:
such a resource may be adopted if it matches."""


class Providers:
    """Instances by the URN of their provider resource."""

    def __init__(self, factory: ProviderFactory, adopting: frozenset[str]) -> None:
        self._factory = factory
        self._adopting = adopting
        self._ready: dict[str, asyncio.Task[Provider]] = {}
        self._made: list[Provider] = []

    def has(self, urn: str) -> bool:
        """Whether this provider was configured in this run."""
        return urn in self._ready

    def bare(self, package: str) -> Provider:
        """A provider that is not configured yet, for checks of its configuration."""
        provider = self._factory(package, self._adopting)
        self._made.append(provider)
        return provider

    async def configure(self, urn: str, inputs: Values) -> Provider:
        """Create and configure the provider of a provider resource; again if its inputs have changed."""
        self._ready[urn] = asyncio.ensure_future(self._configure(urn, inputs))
        return await self._ready[urn]

    async def get(self, urn: str, inputs: Callable[[], Values]) -> Provider:
        """The provider; if this run has not configured it yet, it is configured with what `inputs` gives (its inputs in
        the state)."""
        if urn not in self._ready:
            self._ready[urn] = asyncio.ensure_future(self._configure(urn, inputs()))
        return await self._ready[urn]

    async def _configure(self, urn: str, inputs: Values) -> Provider:
        provider = self.bare(package_of(urn))
        not_its_own = ("version", "__internal", "pluginDownloadURL")
        await provider.configure({key: value for key, value in inputs.items() if key not in not_its_own})
        return provider

    async def close(self) -> None:
        """Close what the providers hold."""
        await asyncio.gather(*(provider.close() for provider in self._made))


def package_of(urn: str) -> str:
    """The package that a provider resource's URN names."""
    return type_of(urn).removeprefix(PROVIDER_PREFIX)
