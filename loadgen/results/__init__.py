"""The run folder: written while the run goes on, opened again later, also after a crash."""
