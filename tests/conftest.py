"""What the tests share: reference data, and settings that keep them quick and repeatable."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# The outputs in tests/reference were recorded with AVX2 kernels. Others round differently: after a hundred
# layers that is as much as the tests' tolerance. oneDNN reads this once, before PyTorch's first convolution.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")

import matplotlib as mpl
import pytest
import torch
from hypothesis import HealthCheck, settings
from matplotlib import pyplot as plt
from playwright.sync_api import Browser, Playwright, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import find_browser
from browser import Site, Tab, launch, open_tab

# Two test processes share two cores: more threads than one would only wait for each other.
torch.set_num_threads(1)

settings.register_profile(
    "book",
    deadline=None,  # a busy machine is not a fault
    max_examples=50,
    derandomize=True,  # the same examples in every run: a check must not fail by luck
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("book")


DOWN: list[str] = []  # how processes of tests have ended that should not have


def pytest_testnodedown(node: Any, error: object) -> None:
    """Keep how a process has ended that takes its tests with it: pytest-xdist says only that it has."""
    if error:
        try:
            status = f"exit status {node.gateway._io.popen.wait(10)} (negative: a signal)"
        except subprocess.TimeoutExpired:
            status = "it still runs: its pipe is shut"
        DOWN.append(f"{node.gateway.id}: {error}; {status}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in DOWN:
        terminalreporter.write_line(line)


@pytest.hookimpl(tryfirst=True)  # before those that are not wanted go
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test's variants leave `few`, spread over all; the others are `long`."""
    variants: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few"):
            variants.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for all_of_it in variants.values():
        (count,) = all_of_it[0].get_closest_marker("few").args  # type: ignore[union-attr]
        kept = {round(i * (len(all_of_it) - 1) / max(count - 1, 1)) for i in range(count)}
        for place, item in enumerate(all_of_it):
            if place not in kept:
                item.add_marker("long")


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def reference() -> Path:
    """Outputs and tensor names read off the two public implementations."""
    return ROOT / "tests" / "reference"


@pytest.fixture(scope="session")
def photos() -> Path:
    """Photographs with label maps: CamVid in the VOC layout, three images of VOC 2012."""
    folder = ROOT.parent / "shared" / "photos"  # research data sets, not ours to pass on
    if not folder.is_dir():
        pytest.skip("needs photographs: there is no folder `shared/photos` beside the clone")
    return folder


@pytest.fixture
def closed_figures() -> Iterator[None]:
    """Draw without a screen, and with the layout that the book's figures have; close the figures."""
    with mpl.rc_context({"backend": "Agg", "figure.constrained_layout.use": True}):
        yield
        plt.close("all")


def browser_to_drive() -> str:
    """Return the path of a Chromium; without one the tests are skipped, with CI=true they fail."""
    executable = find_browser.find()
    if executable is None and os.environ.get("CI") == "true":
        pytest.fail(find_browser.ADVICE)
    if executable is None:
        pytest.skip(f"NO BROWSER: {find_browser.ADVICE}")
    return executable


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """A headless Chromium, where it is there the one that knows no windows: it is the quicker one."""
    with launch(playwright, find_browser.find_shell() or browser_to_drive()) as browser:
        yield browser


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Tab]]:
    """Open pages of the built book, `visit("book/welcome.html")`, or of another folder: tests/browser.py."""
    sites: list[Site] = []
    tabs: list[Tab] = []

    def visit(path: str, folder: Path = ROOT / "_build" / "html", **options: Any) -> Tab:
        sites.append(Site(folder))
        tabs.append(open_tab(chromium, sites[-1], path, **options))
        return tabs[-1]

    yield visit
    for tab in tabs:
        tab.page.context.close()
    for site in sites:
        site.close()
