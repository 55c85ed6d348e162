"""Numbered SQL files, applied in order at start; a file that has been released is never edited."""
