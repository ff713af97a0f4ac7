"""How far groups are behind: `evaluate` judges samples (pure), `ask` takes them from a cluster."""
