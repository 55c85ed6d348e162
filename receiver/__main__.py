"""``python -m receiver`` is ``otlp-receiver``."""

from __future__ import annotations

from receiver.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
