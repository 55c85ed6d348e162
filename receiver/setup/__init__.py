"""The configuration that makes agents, SDKs and collectors send here."""
