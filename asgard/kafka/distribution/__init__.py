"""Kafka's own programs on this machine: which jars a version needs, fetched and verified, and the Java that runs them."""
