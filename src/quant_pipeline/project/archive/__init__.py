"""The archive: files of old sessions and bundles that nothing refers to, moved aside so that none can be lost."""
