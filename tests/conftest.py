"""What all tests share: the CPU, one thread each, nobody asked on the network, no browser test left out if required."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

# Both are read when torch and gradio are imported, here and in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import pytest
import torch
from hypothesis import HealthCheck, settings

BROWSER_TESTS = Path(__file__).parent / "browser"
# Let all tests find the GPU that there is, or one that stands in (tests/device).
EVERYWHERE = os.environ.get("STYLOSCOPE_GPU") == "everywhere"
REQUIRED = os.environ.get("STYLOSCOPE_BROWSER") == "required"

settings.register_profile(
    "styloscope", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("styloscope")


def pytest_configure(config: pytest.Config) -> None:
    """Processes that tests start find no CUDA: bits are compared, and a GPU does not repeat them.

    Workers of pytest-xdist are not such processes, so the one that only starts these leaves the variable alone.
    """
    runs_tests = hasattr(config, "workerinput") or not config.getoption("numprocesses", None)
    if runs_tests and torch.cuda.is_available() and not EVERYWHERE:
        torch.cuda.init()  # it looks at the variable once, and this process keeps its GPU
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


@pytest.fixture(autouse=True)
def _on_the_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is the CPU but in tests that are marked `gpu`."""
    if not EVERYWHERE and request.node.get_closest_marker("gpu") is None:
        for backend in (torch.cuda, torch.backends.mps):
            monkeypatch.setattr(backend, "is_available", lambda: False)


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
