"""Did Kafka break a promise? From the history of a load and a last read to a verdict: anomalies as Jepsen names them.

`recorder` writes a history while the load runs, `history` is its format, `last_read` adds what is there afterwards, `check`
finds anomalies, `promises` says which of them break a promise in which mode, `traces` looks for what is missing on the disks.
"""
