"""What all tests share: one thread each, no look-ups on the network, no skipped browser test where one is required."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

# Both are read when torch and gradio are imported, here and in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import pytest
from hypothesis import HealthCheck, settings

BROWSER_TESTS = Path(__file__).parent / "browser"
REQUIRED = os.environ.get("STYLOSCOPE_BROWSER") == "required"

settings.register_profile(
    "styloscope", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("styloscope")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the browser tests; they skip by themselves, with a reason, where there is no browser."""
    for item in items:
        if BROWSER_TESTS in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a browser test into a failure where browser tests are required."""
    report = yield
    if REQUIRED and report.skipped and BROWSER_TESTS in item.path.parents and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, but STYLOSCOPE_BROWSER=required: {report.longrepr}"
    return report
