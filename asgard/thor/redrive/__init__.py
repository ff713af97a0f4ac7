"""Dead letters sent back to the topic that their headers name. `letters` reads headers, `ledger` remembers what was sent, `redrive` does it."""
