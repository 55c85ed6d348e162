#!/bin/sh
# Reads a transcript of Claude Code (this one comes with the example; yours lie in ~/.claude/projects), shows what the
# session did and cost, and finds it by what was said in it. A second reading adds nothing.
set -eu
here=$(dirname "$0")
otlp-receiver ingest "$here/claude_code_session.jsonl"
otlp-receiver ingest "$here/claude_code_session.jsonl"
otlp-receiver sessions
otlp-receiver session 0d9f2b54
otlp-receiver search "a coupon was taken for an amount of money" --limit 1
