"""Storage of added voices, consents and candidates, as records on disk."""
