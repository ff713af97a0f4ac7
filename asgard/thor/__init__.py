"""Thor: heals, balances and replays, so that no one gets paged when a broker dies."""
