"""Thor: brokers die, nobody wakes up."""
