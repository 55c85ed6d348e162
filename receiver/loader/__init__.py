"""From the spool to the store: batches, transactions, checkpoints, quarantine, retention."""
