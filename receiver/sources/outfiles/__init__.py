"""Telemetry outfiles of Qwen Code and Gemini CLI: what OpenTelemetry's JavaScript SDK holds, dumped."""
