"""Storage of added voices, consents, candidates and dictionaries, as records on disk."""
