"""The kit for tests of plugins and of this package.  The server does not import it.

``conformance.check_engine`` puts an engine through its contract.
"""
