"""ECS tasks of services: those with given tags, and a stop, after which the service starts another."""

from __future__ import annotations

from collections.abc import Mapping

from asgard.machines.aws import client as aws
from asgard.machines.member import Member, Population, opted_in


def members(cluster: str, tags: Mapping[str, tuple[str, ...]], region: str | None = None) -> Population:
    """The running tasks of an ECS cluster that have all these tags. A task's group is its service."""
    client = aws.client("ecs", region)
    with aws.errors(f"listing ECS tasks of {cluster}"):
        pages = client.get_paginator("list_tasks").paginate(cluster=cluster)
        arns = [arn for page in pages for arn in page["taskArns"]]
        tasks = [
            task
            for first in range(0, len(arns), 100)
            for task in client.describe_tasks(cluster=cluster, tasks=arns[first : first + 100], include=["TAGS"])[
                "tasks"
            ]
        ]
    found = []
    for task in tasks:
        labels = {t["key"]: t["value"] for t in task.get("tags", ())}
        if task.get("lastStatus") == "STOPPED" or not opted_in(labels, tags):
            continue
        state, health = str(task.get("lastStatus", "")), str(task.get("healthStatus", "UNKNOWN"))
        healthy = state == "RUNNING" and health != "UNHEALTHY"
        group = str(task.get("group", "")).removeprefix("service:")
        found.append(Member(task["taskArn"], "ecs", group, labels, state if healthy else f"{state}, {health}", healthy))
    return Population(tuple(found))


def stop_task(cluster: str, task: str, region: str | None = None) -> str:
    """Stop a task. It can't be undone; its service starts another."""
    client = aws.client("ecs", region)
    with aws.errors(f"stopping task {task}"):
        client.stop_task(cluster=cluster, task=task, reason="asgard: a fault of an experiment")
    return f"task {task} is stopped; its service starts another"
