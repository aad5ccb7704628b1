"""An OpenAI-compatible server around the engine model, with a log of its true instants."""
