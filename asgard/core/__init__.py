"""What every part stands on: errors and exit codes, paths, units, YAML with line numbers, contexts, the console."""
