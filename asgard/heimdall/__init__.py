"""Heimdall: monitoring, tracing and daily reports of what passes through Kafka."""
