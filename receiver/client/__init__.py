"""A receiver behind an address, asked over HTTP."""
