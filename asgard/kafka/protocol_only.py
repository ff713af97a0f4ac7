"""Lets kafka-python's protocol and network modules be imported without its clients.

`import kafka.anything` first runs the package's own file, which imports its producer, consumer and admin client: a
third of that import, and Asgard uses none of them. Here the package is put into `sys.modules` without running it; its
file runs when a name is first requested from it (`from kafka import KafkaProducer`), through a module's `__getattr__`
(PEP 562). Submodules are found as usual.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from typing import Any


def _enter(name: str) -> None:
    if name in sys.modules or (spec := importlib.util.find_spec(name)) is None or spec.loader is None:
        return
    loader, package = spec.loader, importlib.util.module_from_spec(spec)

    def on_first_name(wanted: str) -> Any:
        vars(package).pop("__getattr__", None)
        loader.exec_module(package)
        return getattr(package, wanted)

    vars(package)["__getattr__"] = on_first_name
    sys.modules[name] = package
    logging.getLogger(name).addHandler(logging.NullHandler())  # as its file does: no warning on stderr


_enter("kafka")
