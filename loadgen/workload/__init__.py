"""What is said: prompts by session number, drawn from the scenario's seed."""
