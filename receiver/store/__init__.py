"""The DuckDB store: one writer, many reader cursors, numbered migrations."""
