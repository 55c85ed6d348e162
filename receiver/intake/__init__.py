"""From a request in memory to a request on disk: queue, decode, group commit, answer."""
