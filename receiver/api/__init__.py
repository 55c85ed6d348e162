"""The HTTP API on the query listener: parameters in, a question to the query service, JSON out."""
