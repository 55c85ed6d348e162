"""Bytes to columns: everything that can refuse a record is found here, before the answer is given."""
