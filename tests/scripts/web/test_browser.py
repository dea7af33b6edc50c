"""The pages in a real browser."""

import pytest

from tests.support.browser import needs_browser, page_of
from tests.support.web import serving

pytestmark = needs_browser


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("runs")) as client:
        yield client


def test_the_token_leaves_the_address_and_every_screen_opens_without_a_complaint(browser, server):
    with page_of(browser, server) as page:
        page.wait_for_selector("nav a")
        assert "token" not in page.url
        for link in page.query_selector_all("nav a"):
            link.click()
            page.wait_for_selector(".screen h1")
