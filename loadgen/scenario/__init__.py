"""TOML → a typed, checked `Scenario`."""
