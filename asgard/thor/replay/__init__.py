"""Copies records to where they are missing, each exactly once: the core that replay, redrive and restore share.

`model` defines a source of records, `exactly` writes them in transactions that carry the progress, `copy` drives both.
"""
