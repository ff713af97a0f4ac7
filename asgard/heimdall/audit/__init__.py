"""The audit: how many records arrived, by topic, window and tier; which were lost, duplicated or late. See docs/heimdall-audit.md."""
