"""Records brought from where they are to where they are missing, each exactly once: the core that replay, redrive and restore share.

`model` says what a source of records is, `exactly` writes them in transactions that carry the progress, `copy` drives both.
"""
