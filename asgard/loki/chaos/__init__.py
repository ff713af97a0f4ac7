"""Fault injection: what can be broken in a cluster and its machines, with an undo that survives the process that broke it.

`inject(site, "kill_broker", broker=2)` and `put_back(site, fault)` are the whole API; `compose.holding.to_break` gives the site.
A kind of fault is a `kind.FaultKind`: its module lists it in `KINDS` (action to FaultKind), and `kinds.MODULES` names the module.
"""

from asgard.loki.chaos.breaking import inject, open_faults, put_all_back, put_back
from asgard.loki.chaos.limits import BlastRadius
from asgard.loki.chaos.site import ChaosSite, Fault

__all__ = ["BlastRadius", "ChaosSite", "Fault", "inject", "open_faults", "put_all_back", "put_back"]
