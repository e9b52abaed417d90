"""The catalogue: models.toml, its entries, and what is known of the servers behind them."""
