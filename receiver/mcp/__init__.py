"""The receiver as tools of an AI agent, over MCP."""
