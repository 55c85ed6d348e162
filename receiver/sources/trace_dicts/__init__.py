"""Traces as plain dicts, as Python code and documented files give them."""
