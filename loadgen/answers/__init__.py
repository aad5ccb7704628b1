"""Answers from saved runs: statistics, comparison, gates."""
