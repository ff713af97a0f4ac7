"""Load on a Kafka cluster: who sends what and how fast, what it felt like, and whether every record is there afterwards.

`scenario` is the load as plain data, `read` makes it from a file or flags, `run` carries it out, `result` is what came out and
`verdict` judges it. The load itself runs in child processes (`child`): Locust changes a process when it is imported, so no
other process of Asgard imports it. docs/loki-load.md draws how the parts work together.
"""
