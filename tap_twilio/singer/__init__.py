"""Singer: catalog and selection, records, messages, state, versions."""
