"""Shared by every part: errors and exit codes, paths, units, YAML with line numbers, contexts, the console."""
