"""Claims: one owner for each thing, whoever came first."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgard.core.errors import Refused
from asgard.journal import claims
from tests.harness.examples import examples

ORDERS = [("topic", "orders.created"), ("user", "orders-api")]


def test_what_is_claimed_has_an_owner_until_it_is_released(journal):
    assert claims.claim(journal, "c1", "orders", ORDERS) == 2
    assert claims.claim(journal, "c1", "orders", [*ORDERS, ("topic", "new")]) == 1
    assert claims.owners(journal, "c1") == dict.fromkeys([*ORDERS, ("topic", "new")], "orders")
    assert claims.release(journal, "c1", "orders", [("topic", "new"), ("topic", "never")]) == 1
    assert claims.release(journal, "c1", "orders") == 2
    assert claims.owners(journal, "c1") == {}


def test_a_second_stack_is_refused_with_the_owners_name_and_claims_nothing(journal):
    claims.claim(journal, "c1", "orders", ORDERS)
    with pytest.raises(Refused, match=r"topic orders\.created \(stack orders\)"):
        claims.claim(journal, "c1", "billing", [("topic", "bills"), ORDERS[0]])
    assert set(claims.owners(journal, "c1").values()) == {"orders"}


def test_many_conflicts_are_counted_not_listed(journal):
    things = [("topic", f"t{n}") for n in range(16_000)]
    assert claims.claim(journal, "c1", "orders", things) == 16_000
    assert claims.claim(journal, "c1", "orders", things) == 0
    with pytest.raises(Refused, match="and 15995 more"):
        claims.claim(journal, "c1", "billing", things)
    assert claims.release(journal, "c1", "orders", things) == 16_000


def test_another_cluster_or_kind_is_another_thing(journal):
    claims.claim(journal, "c1", "orders", ORDERS)
    assert claims.claim(journal, "c2", "billing", ORDERS) == 2
    assert claims.claim(journal, "c1", "billing", [("user", "orders.created")]) == 1


def test_nobody_releases_what_another_stack_owns(journal):
    claims.claim(journal, "c1", "orders", ORDERS)
    assert claims.release(journal, "c1", "billing", ORDERS) == 0
    assert claims.release(journal, "c1", "billing") == 0
    assert len(claims.owners(journal, "c1")) == 2


def test_of_two_stacks_at_once_one_gets_it_and_the_other_is_told(journal):
    outcomes, start = [], threading.Barrier(2)

    def go(stack):
        start.wait()
        try:
            outcomes.append((stack, claims.claim(journal, "c1", stack, ORDERS)))
        except Refused:
            outcomes.append((stack, "refused"))

    threads = [threading.Thread(target=go, args=[stack]) for stack in ("orders", "billing")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(result) for _, result in outcomes) == ["2", "refused"]
    (winner,) = [stack for stack, result in outcomes if result == 2]
    assert set(claims.owners(journal, "c1").values()) == {winner}


things = st.lists(st.tuples(st.sampled_from(["topic", "user"]), st.sampled_from("abcd")), max_size=4)
steps = st.lists(st.tuples(st.sampled_from(["claim", "release"]), st.sampled_from(["s1", "s2"]), things), max_size=12)


@given(steps)
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_owners_are_those_of_a_plain_table(journal, steps):
    for stack in ("s1", "s2"):
        claims.release(journal, "c", stack)
    table = {}
    for verb, stack, wanted in steps:
        if verb == "release":
            claims.release(journal, "c", stack, wanted)
            table = {thing: owner for thing, owner in table.items() if thing not in wanted or owner != stack}
        elif all(table.get(thing, stack) == stack for thing in wanted):
            claims.claim(journal, "c", stack, wanted)
            table |= dict.fromkeys(wanted, stack)
        else:
            with pytest.raises(Refused):
                claims.claim(journal, "c", stack, wanted)
        assert claims.owners(journal, "c") == table
