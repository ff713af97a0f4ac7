"""Load on a Kafka cluster: what is sent and how fast, how well the cluster served it, and whether every record is there afterwards.

`scenario` is the load as plain data, `read` makes it from a file or flags, `run` carries it out, `result` is the outcome and
`verdict` judges it. The load itself runs in child processes (`child`): Locust changes a process when it is imported, so no
other process of Asgard imports it. docs/loki-load.md draws how the parts work together.
"""
