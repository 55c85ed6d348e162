"""What agents did, from what they sent and what their files say: sessions, turns, calls, tokens, cost."""
