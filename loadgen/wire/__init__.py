"""One request on the network: connections, the stopwatch, SSE, endpoint kinds → `Timeline`."""
