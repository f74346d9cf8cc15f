"""Voices: lookup, storage, intake of recordings, previews."""
