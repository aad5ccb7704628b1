"""(scenario, seed) → `Plan`: when which session begins on which target. Pure; reproducible to the byte."""
