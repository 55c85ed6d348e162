"""Files that stored records are written to: Parquet, and OTLP-JSON lines. The way back is ``receiver.sources``."""
