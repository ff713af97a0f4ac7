"""Where the journal is kept: tables, and the database behind them."""
