"""Events of an operation: who hears them, in which thread, and under which title."""

from __future__ import annotations

import asyncio
import threading

from asgard.core import events


def test_each_listener_hears_its_own_operation_and_nobody_hears_without_one() -> None:
    heard: dict[str, list[str]] = {"a": [], "b": []}
    ready = threading.Barrier(2)

    def operation(name: str) -> None:
        with events.listening(lambda event: heard[name].append(event.text)):
            ready.wait(5)
            for number in range(50):
                events.note(f"{name}{number}")
            with events.silence():
                events.note("nothing")

    threads = [threading.Thread(target=operation, args=(name,)) for name in heard]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events.note("to nobody")
    assert heard == {name: [f"{name}{number}" for number in range(50)] for name in heard}


def test_a_thread_and_a_task_belong_to_the_operation_that_carries_them() -> None:
    heard: list[str] = []

    async def task() -> None:
        events.note("task")

    with events.listening(lambda event: heard.append(event.text)):
        for work in (lambda: events.note("lost"), events.carried(lambda: events.note("carried"))):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        asyncio.run(task())
    assert heard == ["carried", "task"]


def test_titles_stand_before_the_text_and_keep_the_kind_of_the_event() -> None:
    heard: list[events.Event] = []
    with events.listening(heard.append):
        with events.titled("step 1"), events.titled("inside"):
            events.progress("work", "half", done=1, total=2, unit="files")
        events.warn("plain")
    with events.titled("step 2"):
        events.note("nobody listens")
    assert heard == [events.Progress("step 1: inside: half", "work", 1, 2, "files"), events.Warned("plain")]


def test_another_programs_thread_is_heard_by_what_it_falls_back_to() -> None:
    heard: list[str] = []
    mine: list[str] = []

    def thread() -> None:
        events.fall_back_to(lambda event: heard.append(event.text))
        events.note("log")
        with events.listening(lambda event: mine.append(event.text)):
            events.fall_back_to(lambda event: heard.append(event.text))
            events.note("mine")

    running = threading.Thread(target=thread)
    running.start()
    running.join()
    assert (heard, mine) == (["log"], ["mine"])
