"""Records for people: decoded, filtered, masked, and as JSON lines that can be read back. See docs/heimdall-trace.md."""
