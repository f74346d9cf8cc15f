"""Kokoro-82M on a CPU: Mandarin and English, from a network that separate packages carry."""
