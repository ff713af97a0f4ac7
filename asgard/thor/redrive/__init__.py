"""Dead letters sent back to the topic in their headers. `letters` reads headers, `ledger` remembers what was sent, `redrive` does it."""
