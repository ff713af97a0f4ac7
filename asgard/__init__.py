"""Asgard: Kafka data infrastructure from one command."""

__version__ = "0.1.0"
