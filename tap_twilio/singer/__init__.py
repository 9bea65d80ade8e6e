"""The Singer protocol: catalog, selection, records, messages."""
