"""loadgen: a load tester for LLM endpoints whose numbers can be trusted."""

__version__ = "0.1.0"
