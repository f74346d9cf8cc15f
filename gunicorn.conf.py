"""For ``gunicorn -c gunicorn.conf.py`` in a checkout; see ``voxcpm_openai.gunicorn_conf``."""

from voxcpm_openai.gunicorn_conf import *  # noqa: F403
