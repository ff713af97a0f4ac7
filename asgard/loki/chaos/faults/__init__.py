"""The kinds of faults, by what they break. Each module has `KINDS`: name of the action to what it does."""
