"""Tests: unit, http (the app in process), live (gunicorn), audio, runtime (torch)."""
