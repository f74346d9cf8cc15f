"""For ``gunicorn wsgi:app`` in a checkout; the app is made in ``voxcpm_openai.wsgi``."""

from voxcpm_openai.wsgi import app

__all__ = ["app"]
