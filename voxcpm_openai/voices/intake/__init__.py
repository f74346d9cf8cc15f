"""Intake of uploaded recordings: decoding, quality checks, transcription."""
