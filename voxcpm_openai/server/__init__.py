"""The gunicorn worker: connections that cost no thread until their request is whole."""
