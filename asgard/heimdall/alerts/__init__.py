"""Alerts: `conditions` and `evaluate` decide (pure), `store` keeps states and notifications, `deliver` sends them."""
