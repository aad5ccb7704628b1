"""What is known about models, each fact with its source and date; engine profiles for the simulator."""
