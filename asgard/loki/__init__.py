"""Loki breaks things on purpose, under load, and proves what became of every record."""
