"""Loki breaks things on purpose, under load, and proves what happened to every record."""
