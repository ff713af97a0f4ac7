"""A load's verdict as JUnit XML, the form in which CI systems read test results: each goal is a test case. Pure."""

from __future__ import annotations

from xml.etree import ElementTree

from asgard.loki.load.result import Result


def junit(result: Result) -> str:
    """The document. A load without any goal has one case, that it was carried out."""
    cases = [(j.name, None if j.met else f"{j.name} was {j.got}, wanted is {j.wanted}") for j in result.judged]
    cases = cases or [("carried out", None)]
    counts = {"tests": str(len(cases)), "failures": str(sum(1 for _, why in cases if why)), "errors": "0"}
    time = f"{result.seconds:.3f}"
    suites = ElementTree.Element("testsuites", counts)
    name = f"load {result.name}"
    suite = ElementTree.SubElement(
        suites, "testsuite", {"name": name, **counts, "time": time, "timestamp": result.began_at[:19]}
    )
    for case, why in cases:
        element = ElementTree.SubElement(suite, "testcase", {"classname": name, "name": case, "time": time})
        if why:
            ElementTree.SubElement(element, "failure", {"message": why}).text = why
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"
