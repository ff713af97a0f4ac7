"""Verdicts as JUnit XML, the form in which CI systems read test results: each goal is a test case. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from asgard.loki.load.result import LoadResult


@dataclass(frozen=True)
class Suite:
    """A run; `cases` are names with the reason for failure (None: passed). `began_at` is UTC."""

    name: str
    began_at: str
    seconds: float
    cases: Sequence[tuple[str, str | None]]


def junit(result: LoadResult) -> str:
    """The document of a load. A load without goals has one case: that it was carried out."""
    cases = [(j.name, None if j.met else f"{j.name} was {j.got}, the goal is {j.wanted}") for j in result.judged]
    return document([Suite(f"load {result.name}", result.began_at, result.seconds, cases or [("carried out", None)])])


def document(suites: Sequence[Suite]) -> str:
    """The document of some runs."""
    root = ElementTree.Element("testsuites", _counts([case for suite in suites for case in suite.cases]))
    for suite in suites:
        time = f"{suite.seconds:.3f}"
        about = {"name": suite.name, **_counts(suite.cases), "time": time, "timestamp": suite.began_at[:19]}
        element = ElementTree.SubElement(root, "testsuite", about)
        for case, why in suite.cases:
            tested = ElementTree.SubElement(element, "testcase", {"classname": suite.name, "name": case, "time": time})
            if why:
                ElementTree.SubElement(tested, "failure", {"message": why}).text = why
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _counts(cases: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    return {"tests": str(len(cases)), "failures": str(sum(1 for _, why in cases if why)), "errors": "0"}
