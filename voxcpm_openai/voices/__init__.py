"""The voices that can be asked for."""
