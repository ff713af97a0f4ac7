"""What Loki can break, as functions with plain arguments, for experiments: Loki's own runner calls them, and so can Chaos Toolkit's.

Each returns what was broken (`text`, `subject`, `brokers`). Targets that are not named are picked at random (by the run's seed).
Everything is put back at the end of the run at the latest; `put_back_all`, `start_broker` and `resume_broker` do it earlier, as in rollbacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asgard.loki.chaos import breaking, session
from asgard.loki.chaos.site import Fault

__all__ = [
    "chase_leader",
    "detach_volume",
    "fail_log_dir",
    "kill_asg_instance",
    "kill_broker",
    "kill_consumers",
    "kill_container",
    "kill_controller",
    "kill_process",
    "leader_storm",
    "lose_rack",
    "pause_broker",
    "put_back_all",
    "reboot_instance",
    "restart_broker",
    "resume_broker",
    "rewind_group",
    "rolling_restart",
    "run_fis_experiment",
    "squeeze_quota",
    "start_broker",
    "stop_broker",
    "stop_instance",
    "stop_task",
    "terminate_instance",
]

RESTORING = ("put_back_all", "resume_broker", "start_broker")
"""Actions that put back instead of breaking."""
Done = dict[str, Any]
Labels = Mapping[str, str | Sequence[str]]


def kill_broker(broker: int | None = None) -> Done:
    """Kill a broker (SIGKILL)."""
    return _break("kill_broker", broker=broker)


def stop_broker(broker: int | None = None) -> Done:
    """Stop a broker in a controlled way: its leaders move away first."""
    return _break("stop_broker", broker=broker)


def pause_broker(broker: int | None = None) -> Done:
    """Let a broker hang (SIGSTOP), with its connections open."""
    return _break("pause_broker", broker=broker)


def restart_broker(broker: int | None = None) -> Done:
    """Stop a broker in a controlled way and start it again."""
    return _break("restart_broker", broker=broker)


def rolling_restart(brokers: Sequence[int] | None = None) -> Done:
    """Restart brokers one by one, each when the others have what it has."""
    return _break("rolling_restart", brokers=brokers)


def kill_controller() -> Done:
    """Kill the node whose controller is active."""
    return _break("kill_controller")


def lose_rack(rack: str | None = None, how: str = "kill") -> Done:
    """Take all brokers of a rack away at once; `how`: kill, stop or pause."""
    return _break("lose_rack", rack=rack, how=how)


def chase_leader(topic: str | None = None, partition: int = 0, times: int = 5) -> Done:
    """Kill the leader of a partition and start it again, then the new leader, and so on."""
    return _break("chase_leader", topic=topic, partition=partition, times=times)


def fail_log_dir(broker: int | None = None, directory: str | None = None) -> Done:
    """Let a log directory fail: it is renamed away, with a plain file in its place."""
    return _break("fail_log_dir", broker=broker, directory=directory)


def leader_storm(topic: str | None = None, partitions: int = 100, rounds: int = 5, every: float = 1.0) -> Done:
    """Give partitions another leader, again and again; `every` so many seconds."""
    return _break("leader_storm", topic=topic, partitions=partitions, rounds=rounds, every=every)


def kill_consumers(group: str) -> Done:
    """Send all members of a consumer group away."""
    return _break("kill_consumers", group=group)


def rewind_group(group: str, topic: str | None = None, records: int | None = None) -> Done:
    """Set a group's offsets back by so many records a partition, or to the first."""
    return _break("rewind_group", group=group, topic=topic, records=records)


def squeeze_quota(
    user: str | None = None, client_id: str | None = None, produce: float | None = None, consume: float | None = None
) -> Done:
    """Give a user or a client id so few bytes a second."""
    return _break("squeeze_quota", user=user, client_id=client_id, produce=produce, consume=consume)


def kill_process(pid_file: str, command: str, how: str = "kill") -> Done:
    """Kill, stop or pause the process of a pid file, if `command` is in its command line."""
    return _break("kill_process", pid_file=pid_file, command=command, how=how)


def stop_instance(instance: str | None = None, tags: Labels | None = None, region: str | None = None) -> Done:
    """Stop an EC2 instance, by its id or its tags."""
    return _break("stop_instance", instance=instance, tags=tags, region=region)


def terminate_instance(instance: str | None = None, tags: Labels | None = None, region: str | None = None) -> Done:
    """Terminate an EC2 instance, for good."""
    return _break("terminate_instance", instance=instance, tags=tags, region=region)


def reboot_instance(instance: str | None = None, tags: Labels | None = None, region: str | None = None) -> Done:
    """Reboot an EC2 instance."""
    return _break("reboot_instance", instance=instance, tags=tags, region=region)


def kill_asg_instance(instance: str | None = None, tags: Labels | None = None, region: str | None = None) -> Done:
    """Terminate an instance of an Auto Scaling group, which starts another."""
    return _break("kill_asg_instance", instance=instance, tags=tags, region=region)


def detach_volume(volume: str | None = None, tags: Labels | None = None, region: str | None = None) -> Done:
    """Take an EBS volume away from its instance by force."""
    return _break("detach_volume", volume=volume, tags=tags, region=region)


def stop_task(cluster: str, task: str | None = None, tags: Labels | None = None, region: str | None = None) -> Done:
    """Stop a task of an ECS cluster; its service starts another."""
    return _break("stop_task", cluster=cluster, task=task, tags=tags, region=region)


def run_fis_experiment(template: str, machines: int = 1, region: str | None = None) -> Done:
    """Start an experiment of AWS Fault Injection Service; `machines` says how many its blast radius counts."""
    return _break("run_fis_experiment", template=template, machines=machines, region=region)


def kill_container(container: str | None = None, labels: Labels | None = None, socket: str | None = None) -> Done:
    """Kill a container."""
    return _break("kill_container", container=container, labels=labels, socket=socket)


def put_back_all() -> Done:
    """Put back all that this run has broken."""
    return {"put_back": breaking.put_all_back(session.site())}


def start_broker(broker: int | None = None) -> Done:
    """Start brokers again that this run has killed or stopped: the one that is named, or all."""
    return _put_back(broker, ("kill_broker", "stop_broker", "kill_controller", "lose_rack"))


def resume_broker(broker: int | None = None) -> Done:
    """Let brokers go on that this run has paused: the one that is named, or all."""
    return _put_back(broker, ("pause_broker", "lose_rack"))


def _break(action: str, **arguments: Any) -> Done:
    fault = breaking.inject(session.site(), action, **{k: v for k, v in arguments.items() if v is not None})
    return {"text": str(fault), "subject": fault.subject, "brokers": list(fault.brokers)}


def _put_back(broker: int | None, actions: Sequence[str]) -> Done:
    site = session.site()

    def meant(fault: Fault) -> bool:
        return fault.action in actions and (broker is None or broker in fault.brokers)

    return {"put_back": [breaking.put_back(site, f) for f in reversed(breaking.open_faults(site)) if meant(f)]}
