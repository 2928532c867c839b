"""The demonstration archive: rendered portraits of planted identities, and a local object store."""
