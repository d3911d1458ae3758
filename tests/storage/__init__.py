"""Tests of where bytes live."""

import pytest

pytest.register_assert_rewrite("tests.storage.contract_files", "tests.storage.contract_parts", "tests.storage.samples")
