"""Finds one event in several topics and shows its way with the time of each hop. See docs/heimdall-trace.md."""
