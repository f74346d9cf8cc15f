"""HTTP: one blueprint per file, errors, authentication, the access log, the gunicorn worker."""
