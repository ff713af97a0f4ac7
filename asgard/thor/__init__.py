"""Thor: heals, balances and replays, so that nobody has to get up when a broker dies."""
