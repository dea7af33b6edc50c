"""What the tests in a browser share."""

import pytest

from tests.support.browser import browsing


@pytest.fixture(scope="module")
def browser():
    with browsing() as one:
        yield one
