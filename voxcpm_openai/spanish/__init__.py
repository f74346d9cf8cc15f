"""Spanish written forms as words."""
