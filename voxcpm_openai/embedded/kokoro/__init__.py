"""Kokoro-82M on a CPU: English, Mandarin and Spanish, by a network from packages."""
