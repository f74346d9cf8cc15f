"""What the docs show: a voice file, a voice pack, an encoder plugin."""
