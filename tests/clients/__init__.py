"""Other projects' clients, unchanged, against a live server; ``make test-clients`` runs them."""

import pytest

pytest.register_assert_rewrite("tests.clients.hearing")
