"""What parsers of sessions share: messages, tools, turns."""
