"""The model of a serving engine: queue, prefill, continuously batched decode. No clock, no network."""
