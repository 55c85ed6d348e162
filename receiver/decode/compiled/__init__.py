"""The compiled decoder: Rust behind a C interface, optional at install; the Python route is fallback and oracle."""
