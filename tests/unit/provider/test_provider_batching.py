"""Batches: everybody gets their own answer, and few requests are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.errors import Failed
from asgard.odin.provider.batching import Batcher


def run(items: list[tuple[str, int]], *, limit: int = 500) -> tuple[list[int], list[dict[str, int]]]:
    """The answers (ten times the item) and the requests that were sent."""
    sent: list[dict[str, int]] = []

    def call(batch: dict[str, int]) -> Mapping[str, int]:
        sent.append(batch)
        return {key: item * 10 for key, item in batch.items()}

    async def story() -> list[int]:
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher(call, thread, window_s=0.001, limit=limit)
            return await asyncio.gather(*(batcher.submit(key, item) for key, item in items))

    return asyncio.run(story()), sent


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers()), max_size=40), st.integers(1, 5))
def test_every_item_gets_its_own_answer_whatever_shares_its_request(items: list[tuple[str, int]], limit: int) -> None:
    answers, sent = run(items, limit=limit)
    assert answers == [item * 10 for _, item in items]
    assert all(len(batch) <= limit for batch in sent)
    assert sorted(item for batch in sent for item in batch.items()) == sorted(items)


def test_what_comes_at_once_is_one_request() -> None:
    assert len(run([(str(number), number) for number in range(400)])[1]) == 1


def test_more_than_a_request_holds_is_sent_without_waiting_for_the_window() -> None:
    assert [len(batch) for batch in run([(str(n), n) for n in range(1200)])[1]] == [500, 500, 200]


def test_the_same_key_never_twice_in_a_request_and_in_order() -> None:
    assert run([("a", 1), ("a", 2), ("b", 3)])[1] == [{"a": 1, "b": 3}, {"a": 2}]


def test_a_call_that_fails_fails_for_everybody_in_it_and_for_nobody_else() -> None:
    def call(batch: dict[str, int]) -> Mapping[str, int]:
        if "bad" in batch:
            raise Failed("no")
        return batch

    async def story() -> None:
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher(call, thread, window_s=0.001)
            first = await asyncio.gather(batcher.submit("bad", 1), batcher.submit("with it", 2), return_exceptions=True)
            assert [str(error) for error in first] == ["no", "no"]
            assert await batcher.submit("later", 3) == 3

    asyncio.run(story())


def test_an_answer_that_is_missing_is_an_error() -> None:
    async def story() -> None:
        with ThreadPoolExecutor(1) as thread:
            empty: dict[str, int] = {}
            with pytest.raises(Failed, match="no answer for x"):
                await Batcher(lambda batch: empty, thread, window_s=0.001).submit("x", 1)

    asyncio.run(story())
