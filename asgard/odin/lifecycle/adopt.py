"""`odin import`: turns a cluster that Asgard has never seen into a stack file and a state whose next preview is
empty."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.core.errors import Failed, Refused
from asgard.kafka import target
from asgard.kafka.ports import ControlPlane
from asgard.odin import program as programs
from asgard.odin.engine.state import StateStore
from asgard.odin.engine.steps import Result
from asgard.odin.lifecycle import apply, register
from asgard.odin.lifecycle.options import OdinOptions
from asgard.odin.lifecycle.session import changing, directory
from asgard.odin.resources import identity
from asgard.odin.resources.observe import TEMPORARY_CONFIGS
from asgard.odin.spec import export
from asgard.odin.spec.model import ExternalSpec, StackSpec
from asgard.odin.spec.read import load

if TYPE_CHECKING:
    from asgard.journal.operations import Leftovers


def read_cluster(control: ControlPlane, patterns: tuple[str, ...], myself: str | None) -> export.ClusterContents:
    """What a cluster holds; if patterns are given, only the topics that match and nothing else.

    `myself`, the user that connects, is left out: a stack that deletes the user it works as could never finish.
    """
    topics = {
        name: topic
        for name, topic in control.topics().items()
        if not topic.internal and (not patterns or any(fnmatchcase(name, pattern) for pattern in patterns))
    }
    configs = {
        name: {key: value for key, value in config.items() if key not in TEMPORARY_CONFIGS}
        for name, config in control.topic_configs(list(topics)).items()
    }
    if patterns:
        return export.ClusterContents(topics, configs)
    users = {name: mechanisms for name, mechanisms in control.users().items() if name != myself}
    return export.ClusterContents(topics, configs, users, control.acls(), control.quotas(), control.broker_configs(""))


def write_stack_file(
    stack: str,
    file: Path,
    patterns: tuple[str, ...],
    context: str | None,
    bootstrap_server: str | None,
    command_config: str | None,
) -> StackSpec:
    """Write the stack file of a cluster. Raises Refused if the stack exists."""
    if StateStore(directory(stack)).exists():
        raise Refused(f"stack {stack} exists already", "Import under another name, or destroy that stack first.")
    chosen = target.pick(context, bootstrap_server, command_config)
    control = chosen.connect()
    try:
        found = read_cluster(control, patterns, chosen.connection.username)
        cluster_id = control.cluster().cluster_id
    finally:
        control.close()
    if chosen.context is not None:
        external = ExternalSpec(context=chosen.context.name, cluster_id=cluster_id)
    else:
        properties = str(Path(command_config).absolute()) if command_config else None
        external = ExternalSpec(chosen.connection.bootstrap_servers, properties, cluster_id)
    file.write_text(export.render(stack, external, found))
    return load(file)


def adopt(spec: StackSpec, leftovers: Leftovers) -> Result:
    """Adopt everything that a stack file names and that exists into a new state. Changes nothing in the cluster."""
    with changing(spec.name, spec, doing=f"odin import {spec.name}", leftovers=leftovers) as session:
        register.claim_all(session, spec)
        declared = list(programs.declared(spec, dict.fromkeys(user.name for user in spec.users)))
        ids = {(token, name): identity.resource_id(token, values) for token, name, values, _ in declared}
        program, goals = programs.program(spec, external=session.external), programs.goals(spec, declared, session.ref)
        result = apply.embedded(session, OdinOptions()).import_resources(program, ids, goals=goals)
        if not result.ok:
            register.forget(session, session.cluster_id(session.store.load()))
            raise Failed(f"{result.errors[0].name}: {result.errors[0].message}", "Nothing was changed in the cluster.")
        register.applied(session, spec, result)
        return result
