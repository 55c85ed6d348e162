"""The two OTLP listeners: bytes from the wire in, ``ExportRequest`` to the intake, OTLP answers out.

Nothing is decoded here. What is promised: every request gets an answer that its client understands in the
way that it is meant (retry, or never again), and no request costs more memory than the byte budget grants.
"""
