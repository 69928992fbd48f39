"""The playground's camera on the built page; the browser has a test picture instead of a real one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab, launch
from conftest import browser_to_drive
from playground_page import PLACE, Visit, changed, shown, summary
from playwright.sync_api import Browser, Page, Playwright, Request, expect

import dmnet
from dmnet.analysis.inside import look_inside
from dmnet.transforms import evaluation_image

ROOT = Path(__file__).resolve().parents[2]
# Keeps the streams that the page gets, for the tests to look at.
WATCH = """() => {
    const media = navigator.mediaDevices;
    const ask = media.getUserMedia.bind(media);
    window.streams = [];
    media.getUserMedia = async (wanted) => {
        const stream = await ask(wanted);
        window.streams.push(stream);
        return stream;
    };
}"""
RUNNING = "window.streams.flatMap((one) => one.getTracks()).filter((one) => one.readyState === 'live').length"


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """The whole of it: without a window it has no camera."""
    with launch(playwright, browser_to_drive()) as browser:
        yield browser


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if not (ROOT / "_build" / "html" / "_static" / "playground" / "playground.js").is_file():
        pytest.skip("the book is not built: `make book` builds it")


def with_camera(visit: Visit, **options: Any) -> tuple[Tab, list[str]]:
    """Open the page, its camera watched; return it, and the list of requests that could carry a picture."""
    tab = shown(visit, **options)
    tab.page.evaluate(WATCH)
    carrying: list[str] = []

    def request(one: Request) -> None:
        own_file = re.fullmatch(re.escape(tab.site.address) + r"/[\w/.-]+", one.url)
        if one.method != "GET" or not own_file:
            carrying.append(f"{one.method} {one.url}")

    tab.page.on("request", request)
    return tab, carrying


def press(page: Page, name: str) -> None:
    page.locator(".dmnet-app").get_by_role("button", name=name).click()


def test_a_picture_is_taken_and_answered(visit: Visit) -> None:
    tab, carrying = with_camera(visit, permissions=["camera"])
    page = tab.page
    press(page, "Camera …")
    expect(page.get_by_label("Camera preview")).to_be_visible()
    page.wait_for_function("document.querySelector('.camera video').currentTime > 0")
    assert page.evaluate(RUNNING) == 1
    press(page, "Take it")
    expect(page.locator(".hint")).to_contain_text("Your picture")
    expect(page.get_by_label("Camera preview")).to_have_count(0)
    assert page.evaluate(RUNNING) == 0
    assert page.evaluate(f"{PLACE}.state.scene") == "own"
    found = changed(page, {"gates": [1, 0, 1, 1]})
    taken = page.evaluate(f"{PLACE}.present.picture")
    picture = np.array(taken["pixels"], np.uint8).reshape(taken["height"], taken["width"], 3)
    assert picture.shape == (360, 480, 3)
    assert picture.std() > 20  # there is something to see in it
    model = dmnet.load_pretrained("street")
    logits = look_inside(model, evaluation_image("street", picture), [1, 0, 1, 1]).logits
    np.testing.assert_allclose(found["logits"], logits.ravel(), rtol=0, atol=1e-3 * float(logits.abs().max()))
    assert carrying == []
    assert tab.faults == []


def test_cancelled_it_is_switched_off(visit: Visit) -> None:
    tab, carrying = with_camera(visit, permissions=["camera"])
    press(tab.page, "Camera …")
    expect(tab.page.get_by_label("Camera preview")).to_be_visible()
    press(tab.page, "Cancel")
    expect(tab.page.get_by_label("Camera preview")).to_have_count(0)
    assert tab.page.evaluate(RUNNING) == 0
    assert tab.page.evaluate(f"{PLACE}.state.scene") == "scale-26"
    assert carrying == []
    assert tab.faults == []


def test_asked_for_twice_there_is_one_preview(visit: Visit) -> None:
    tab, _ = with_camera(visit, permissions=["camera"])
    press(tab.page, "Camera …")
    press(tab.page, "Camera …")
    tab.page.wait_for_function("window.streams.length === 2")
    expect(tab.page.get_by_label("Camera preview")).to_have_count(1)
    assert tab.page.evaluate(RUNNING) == 1


def test_nothing_is_taken_before_the_camera_shows_something(visit: Visit) -> None:
    tab, _ = with_camera(visit, permissions=["camera"])
    tab.page.evaluate("() => { navigator.mediaDevices.getUserMedia = async () => new MediaStream(); }")
    press(tab.page, "Camera …")
    expect(tab.page.locator(".camera").get_by_role("button", name="Take it")).to_be_disabled()


def test_refused_it_is_said_and_nothing_else_breaks(visit: Visit) -> None:
    tab, carrying = with_camera(visit)
    tab.page.context.grant_permissions([])  # none
    press(tab.page, "Camera …")
    expect(tab.page.get_by_role("alert").filter(has_text="its use was not allowed")).to_be_visible()
    expect(tab.page.get_by_label("Camera preview")).to_have_count(0)
    tab.page.locator(".scale[data-k='7'] .switch").click()
    expect(summary(tab.page)).not_to_contain_text("· 0 % of the pixels differ")
    assert carrying == []
    assert tab.faults == []
