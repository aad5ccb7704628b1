"""Carrying out a plan: probe, places, sessions, the run's end, and what is shown meanwhile."""
