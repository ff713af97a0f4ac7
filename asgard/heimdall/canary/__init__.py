"""The canary: can clients produce, consume and commit through each broker right now, and how fast? See docs/heimdall-canary.md."""
