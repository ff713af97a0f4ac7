"""How many records arrived, by topic and hour, and what is missing: `windows`, `counts` and `compare` are pure, `ask` asks a cluster."""
