"""What a recipe's steps do to a real cluster: with Thor's planner and executor, its healer, and the nodes that Odin created."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.cluster import leaders, look
from asgard.cluster.limits import Limits
from asgard.compose import data_steps, holding, settle
from asgard.core import events as news
from asgard.core import program
from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.core.schema import recipe as schema
from asgard.kafka.ports import ControlPlane, NodeControl
from asgard.kafka.target import Target
from asgard.thor.heal import policy as policies
from asgard.thor.heal.policy import Policy
from asgard.thor.recipes import moves, restart
from asgard.thor.recipes.facts import ClusterFacts
from asgard.thor.recipes.model import Recipe, RecipeStep
from asgard.thor.recipes.run import Action, Attempt, Done, HandedOver

if TYPE_CHECKING:
    from asgard.cluster.held import HeldCluster
    from asgard.journal.leases import Priority

HAND_OVER_S = 60.0
"""How long a less urgent command may take to hand over the cluster."""
RATES_WINDOW_S = 5.0
TURNS = 20
"""Healings in one step, at most: each fixes one thing."""
NOTICE = "thor.notice.sent"


@dataclass(frozen=True)
class Steps:
    """The actions of a recipe's steps. `control` is for looking; a step that makes changes checks its lease before each write."""

    recipe: Recipe
    target: Target
    control: ControlPlane
    cluster_id: str
    limits: Limits
    policy: Policy
    confirm: str | None

    def facts(self) -> ClusterFacts:
        """The cluster as it is now; rates only if the recipe needs them."""
        window = RATES_WINDOW_S if _wants_rates(self.recipe) else 0.0
        return ClusterFacts(look.take(self.control, window_s=window), self.limits)

    def actions(self) -> dict[str, Action]:
        """The function for each action."""
        moving = dict.fromkeys(("drain", "fill", "balance", "leaders", "set-rf", "rack-repair"), self.move)
        return {
            **moving,
            "heal": self.heal,
            "elect": self.elect,
            "rolling-restart": self.rolling_restart,
            "notify": self.notify,
            "run": self.run_program,
            "archive": lambda attempt: data_steps.run_archive(self.target, attempt, self.limits),
            "restore": lambda attempt: data_steps.run_restore(self.target, attempt, self.limits, self.confirm),
            "move-coordinator": self.move_coordinator,
            "raise-retention": self.raise_retention,
        }

    @contextlib.contextmanager
    def change(self, attempt: Attempt) -> Iterator[HeldCluster]:
        """The cluster, held for a step that changes it."""
        action = attempt.step.action
        with holding.to_change(
            self.target,
            priority=priorities()[action],
            doing=f"thor recipe run {self.recipe.name} ({attempt.step.name})",
            confirm=self.confirm,
            wait_s=max(attempt.patience_s, HAND_OVER_S),
            control=self.control,
        ) as held:
            yield held

    def move(self, attempt: Attempt) -> Done:
        """Plan for the cluster as it is now, and run the plan. Outside the limits' windows it has to wait."""
        from asgard.cluster import moves as execute
        from asgard.cluster.moves import decide
        from asgard.thor.plan import replan

        given = attempt.step.given
        planner = moves.planner_of(attempt.step)
        assert planner is not None and isinstance(given, schema.Moving)

        with self.change(attempt) as held:
            plan = planner(look.take(held.control), self.limits)
            if plan is None or not (plan.moved or plan.kind == "drain"):
                return Done("nothing", moves.summary(plan))
            news.note(moves.summary(plan))
            if closed := decide.closed(self.limits, time.time()):
                return Done("waiting", f"{moves.summary(plan)}; {closed}")
            throttle = given.throttle or plan.throttle_bytes_per_s
            executed = execute.run(
                held, plan, self.limits, replan=replan.again, throttle=throttle, may_go_on=attempt.check
            )
        if executed.paused:
            return Done("waiting", f"{executed}; {executed.paused}")
        if executed.handed_over:
            raise HandedOver(f"{executed}: {executed.handed_over}", "Run it again: it continues from there.")
        if executed.stopped or executed.refused:
            why = executed.stopped or "; ".join(f"{p}: {w}" for p, w in list(executed.refused.items())[:3])
            raise Failed(f"{executed}: {why}", "asgard thor status shows the cluster.")
        if plan.failed and plan.kind in ("drain", "set-rf"):
            raise Failed(f"{executed}; not met: {plan.unmet[0]}", plan.unmet[0].would_help)
        return Done("done", str(executed))

    def heal(self, attempt: Attempt) -> Done:
        """Turn after turn, until there is nothing left to do."""
        from asgard.compose import heal

        given = attempt.step.given
        assert isinstance(given, schema.Heal)
        policy = self.policy if given.grace is None else replace(self.policy, grace_s=given.grace)

        manner = heal.Manner(None, self.confirm, f"thor recipe run {self.recipe.name}", attempt.check)
        healing = heal.Healing(self.target, policy, self.limits, manner)
        did: list[str] = []
        for _ in range(TURNS):
            attempt.check()
            healed = heal.once(healing, self.control).healed
            if healed.state == "failed":
                raise Failed(
                    str(healed), "asgard thor status shows the cluster, asgard thor history shows what was tried."
                )
            if healed.state != "healed":
                break
            news.note(str(healed))
            did.append(healed.outcome or healed.action)
        if did:
            return Done("done", "; ".join(did))
        return Done("nothing" if healed.state == "healthy" else "waiting", str(healed))

    def elect(self, attempt: Attempt) -> Done:
        """Elect preferred leaders that do not lead."""
        with self.change(attempt) as held:
            away = leaders.away([p for t in held.control.topics().values() for p in t.partitions])
            if not away:
                return Done("nothing", "every partition is led by its preferred leader")
            elected = leaders.preferred(held.control, away)
        if elected.refused:
            name, why = next(iter(elected.refused.items()))
            raise Failed(f"{len(elected.refused)} of {len(away)} elections were refused: {name}: {why}")
        return Done("done", f"{len(elected.led)} partitions are led by their preferred leader again")

    def rolling_restart(self, attempt: Attempt) -> Done:
        """Restart the nodes one by one."""
        given = attempt.step.given
        assert isinstance(given, schema.Restart)
        nodes = self.nodes()
        step, memory = attempt.step.number, attempt.memory
        # Another step of the recipe may restart the same nodes once more.
        begun = [e for e in memory.noted(restart.BEGUN) if e.data.get("step", step) == step]
        known = restart.FormerProcesses({int(e.data["node"]): e.data["pid"] for e in begun})

        def note(kind: str, data: Mapping[str, object]) -> None:
            memory.note(kind, {**data, "step": step})

        with self.change(attempt) as held:
            there = nodes.nodes()
            ids = restart.chosen(there, given.brokers, known, held.control.quorum().leader)
            over = sorted(n.id for n in there if known.over(n))
            if over:
                news.note(f"node {', '.join(map(str, over))} was already restarted; --fresh restarts all")
                # The next run looks at the events of this one alone.
                for node in set(over) - {e.data["node"] for e in begun if e.correlation == memory.run}:
                    note(restart.BEGUN, {"node": node, "pid": known.pids[node]})

            def may_go_on() -> None:
                held.lease.check(settle.CALL_DEADLINE_S)
                if held.lease.wanted_by is not None:
                    raise HandedOver(f"hands over to {held.lease.wanted_by}", "Run it again: it continues from there.")

            restart.restart(
                held.control, nodes, ids, note=note, may_go_on=may_go_on,
                deadline=attempt.deadline,
            )  # fmt: skip
        if not ids:
            return Done("nothing", "every node was already restarted")
        return Done(
            "done", f"{len(ids)} node{'s' if len(ids) > 1 else ''} restarted, one by one: {', '.join(map(str, ids))}"
        )

    def move_coordinator(self, attempt: Attempt) -> Done:
        """Let another broker coordinate a group for a while."""
        with self.change(attempt) as held:
            return data_steps.move_coordinator(held, attempt)

    def raise_retention(self, attempt: Attempt) -> Done:
        """Keep what a group has not read."""
        from asgard.compose import keeping

        given = attempt.step.given
        assert isinstance(given, schema.RaiseRetention)
        group = given.group or data_steps.alert_of(attempt).get("group")
        if not group:
            raise WrongUsage("no group is named, and no alert that names one has triggered this", "Give --set group=billing.")  # fmt: skip
        with self.change(attempt) as held:
            return keeping.raise_retention(held, attempt, self.limits, str(group))

    def notify(self, attempt: Attempt) -> Done:
        """Notify the step's recipients, else the policy's; the text is recorded in the journal."""
        from asgard.thor.heal import notify

        given = attempt.step.given
        assert isinstance(given, schema.Notify)
        timeout_s = min(given.timeout or attempt.left_s, attempt.left_s)
        named = policies.Recipient(given.webhook, tuple(given.command or ()), timeout_s, 0)
        recipients = [named] if given.webhook or given.command else self.policy.notify
        attempt.memory.note(NOTICE, {"text": given.text})
        about = {"recipe": self.recipe.name, "run": attempt.memory.run, "cluster_id": self.cluster_id}
        notice = notify.Notification(NOTICE, self.target.name, given.text, attempt.memory.journal.time(), about)
        for recipient in recipients:
            notify.send(recipient, notice)
        told = f" (told {', '.join(map(str, recipients))})" if recipients else ""
        return Done("done", given.text + told)

    def run_program(self, attempt: Attempt) -> Done:
        """Run a program on this machine."""
        given = attempt.step.given
        assert isinstance(given, schema.Run)
        own = {
            "ASGARD_RECIPE": self.recipe.name,
            "ASGARD_RUN": attempt.memory.run,
            "ASGARD_CLUSTER_ID": self.cluster_id,
        }
        variables = program.environment({**own, **given.environment})
        said = program.run(given.command, variables, min(given.timeout or 3600.0, attempt.left_s))
        return Done("done", f"{Path(given.command[0]).name} said: {said}" if said else f"{given.command[0]} succeeded")

    def nodes(self) -> NodeControl:
        """The nodes of the target's stack. Raises Refused if Asgard does not run them."""
        from asgard.compose.holding import node_control

        found = node_control(self.target)
        if found is None:
            raise Refused(
                f"Asgard can't restart the nodes of {self.target.name}: it runs only those of local stacks",
                "Restart them yourself, one by one; asgard thor status shows when it is safe to restart the next one.",
            )
        return found

    def describe(self, step: RecipeStep, facts: ClusterFacts) -> str:
        """What a step would do now."""
        given = step.given
        planner = moves.planner_of(step)
        if planner is not None:
            return moves.summary(planner(facts.snapshot, self.limits))
        if isinstance(given, schema.Verify | schema.WaitUntil):
            conditions = given.that if isinstance(given, schema.Verify) else given.condition
            return "; ".join(str(v) for v in facts.judge_all(conditions))
        if isinstance(given, schema.Restart):
            controller = facts.snapshot.controller
            ids = restart.chosen(self.nodes().nodes(), given.brokers, restart.FormerProcesses({}), controller)
            return f"would restart node {', '.join(map(str, ids))}, in this order"
        if isinstance(given, schema.Notify):
            return f"would say: {given.text}"
        if isinstance(given, schema.Run):
            return f"would run {' '.join(given.command)}"
        return f"would {step.action}"


def priorities() -> dict[str, Priority]:
    """The priority of each action that changes the cluster."""
    from asgard.cluster.moves.decide import PRIORITIES
    from asgard.journal.leases import Priority

    return {
        **dict(PRIORITIES.items()),
        "elect": Priority.BALANCE,
        "rolling-restart": Priority.CHANGE,
        "move-coordinator": Priority.HEAL,
        "raise-retention": Priority.HEAL,
    }


def _wants_rates(recipe: Recipe) -> bool:
    given = (step.given for step in recipe.steps)
    more = [c for g in given for c in (getattr(g, "that", None) or getattr(g, "condition", None) or ())]
    return any(c.unit == "bytes/s" for condition in (*recipe.when, *more) for c in condition.any_of)
