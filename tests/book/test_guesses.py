"""A guess in a "Predict" box: by mouse, finger and keys, kept in the browser, readable without a script."""

from collections.abc import Callable
from typing import Any

import pytest
from browser import Tab
from playwright.sync_api import expect
from test_book import HTML
from test_reading import AXE, PHONE, SHOW_THEME, axe_findings

PAGE = "book/02_backbone.html"


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if not HTML.is_dir():
        pytest.skip("the book is not built: `make book` builds it")


def test_a_guess_is_kept_and_stands_beside_the_answer(visit: Callable[..., Tab]) -> None:
    """Of a slider and of buttons; a second click takes the guess back, but not while the answer is open."""
    tab = visit(PAGE)
    page = tab.page
    boxes, folds = page.locator(".admonition.predict"), page.locator("details.sd-dropdown:has(p.right)")
    assert boxes.count() == folds.count() == 5
    slider, choices = boxes.nth(0).get_by_role("slider"), boxes.nth(1).get_by_role("button")
    expect(slider).to_have_attribute("aria-valuetext", "no guess yet")
    assert choices.count() == 4 + 1
    folds.nth(1).locator("> summary").click()
    expect(folds.nth(1).locator(".guessed")).to_be_hidden()  # nobody has guessed
    expect(choices.nth(0)).to_be_disabled()  # whoever has seen the answer no longer guesses
    folds.nth(1).locator("> summary").click()

    expect(choices.nth(0)).to_be_enabled()
    choices.nth(0).focus()
    page.keyboard.press("Enter")
    expect(choices.nth(0)).to_have_attribute("aria-pressed", "true")
    expect(boxes.nth(1).get_by_role("status")).to_have_text("Kept in this browser.")
    choices.nth(1).click()
    expect(boxes.nth(1).locator("[aria-pressed=true]")).to_have_text("24: its neighbours are others now")
    choices.nth(2).click()
    slider.press("ArrowRight")

    page.reload()
    expect(slider).to_have_attribute("aria-valuetext", "1 %")
    boxes.nth(0).get_by_role("button", name="Show the answer").click()
    expect(folds.nth(0).locator(".guessed p")).to_have_text("Off by 45. You guessed: 1 %. The answer: 46 %.")
    expect(boxes.nth(0).locator("span[role=status]")).to_have_text("Off by 45: it is 46 %.")
    boxes.nth(1).get_by_role("button", name="Show the answer").click()
    expect(folds.nth(1).locator(".guessed p")).to_have_text(
        "Not quite. You guessed: 43: it now adds five numbers. The answer: 24: its neighbours are others now."
    )
    expect(choices.nth(2)).to_be_disabled()
    expect(boxes.nth(1).get_by_role("status")).to_have_text("Not quite: it is 2.")
    expect(boxes.nth(1).locator("button.right")).to_have_text("24: its neighbours are others now")
    expect(slider).to_be_disabled()
    boxes.nth(1).get_by_role("button", name="Guess again").click()
    expect(folds.nth(1).locator(".right")).to_be_hidden()
    assert boxes.nth(1).locator("[aria-pressed=true]").count() == 0
    choices.nth(1).click()
    folds.nth(1).locator("> summary").click()
    expect(folds.nth(1).locator(".guessed strong")).to_have_text("the same")
    expect(boxes.nth(1).get_by_role("status")).to_have_text("Right.")
    folds.nth(1).locator("> summary").click()
    expect(choices.nth(1)).to_be_enabled()
    choices.nth(1).click()
    folds.nth(1).locator("> summary").click()
    expect(folds.nth(1).locator(".guessed")).to_be_hidden()
    assert tab.faults == []


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 900}])
def test_the_verdict_stands_at_the_question(viewport: Any, visit: Callable[..., Tab]) -> None:
    """The page stays where it is; a link leads on; what was open is open again."""
    page = visit(PAGE, viewport=viewport).page
    boxes, folds = page.locator(".admonition.predict"), page.locator("details.sd-dropdown:has(p.right)")
    box, fold = boxes.nth(1), folds.nth(1)
    box.get_by_role("button").nth(0).click()
    show = box.get_by_role("button", name="Show the answer")
    show.scroll_into_view_if_needed()
    before = show.bounding_box()
    show.click()
    expect(box.get_by_role("status")).to_have_text("Not quite: it is 2.")
    after = box.get_by_role("button", name="Guess again").bounding_box()
    assert before and after and abs(before["y"] - after["y"]) < 1
    page.reload()
    expect(fold.locator(".guessed")).to_be_visible()
    expect(box.get_by_role("status")).to_have_text("Not quite: it is 2.")
    expect(folds.nth(2).locator(".right")).to_be_hidden()
    box.get_by_role("link", name="Read why").click()
    expect(fold.locator(".guessed")).to_be_in_viewport()
    box.get_by_role("button", name="Guess again").click()
    expect(box.get_by_role("status")).to_have_text("Forgotten.")
    page.reload()
    expect(fold.locator(".right")).to_be_hidden()
    folds.nth(2).locator("> summary").click()  # nothing was guessed there
    page.reload()
    expect(folds.nth(2).locator(".right")).to_be_hidden()


@pytest.mark.few(1)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_finger_finds_it_and_axe_nothing(theme: str, visit: Callable[..., Tab]) -> None:
    tab = visit(PAGE, viewport=PHONE, has_touch=True, is_mobile=True, bypass_csp=True)
    tab.page.evaluate(SHOW_THEME, theme)
    tab.page.locator(".guess li button").nth(1).tap()
    tab.page.locator(".guess-slider input").focus()
    tab.page.keyboard.press("ArrowRight")
    tab.page.get_by_role("button", name="Show the answer", exact=True).nth(1).tap()
    sizes = tab.page.locator(".guess :is(button, input)").evaluate_all(
        "(all) => all.map((one) => one.getBoundingClientRect()).map(({ width, height }) => [width, height])"
    )
    assert min(min(size) for size in sizes) >= 44
    assert tab.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    if not AXE.is_file():
        pytest.skip("needs axe-core, which `make setup` fetches")
    tab.page.add_script_tag(path=AXE)
    assert axe_findings(tab.page, None) == []


def test_without_a_script_and_without_storage(visit: Callable[..., Tab]) -> None:
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".admonition.predict ol > li").count() == 4 + 4 + 3 + 4
    assert page.locator(".admonition.predict").first.locator("p").last.inner_text() == "From 0 to 100 %."
    page.locator("details.sd-dropdown > summary").nth(1).click()
    assert page.locator("details[open] p.right > strong").inner_text() == "2."

    tab = visit(PAGE)
    tab.page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw Error(); } })")
    tab.page.reload()
    box = tab.page.locator(".admonition.predict").nth(1)
    box.get_by_role("button").first.click()
    expect(box.get_by_role("status")).to_contain_text("This browser keeps nothing")


def test_on_paper_the_choices_are_a_list(visit: Callable[..., Tab]) -> None:
    page = visit(PAGE).page
    page.locator(".guess li button").first.click()
    page.emulate_media(media="print")
    page.evaluate("() => { dispatchEvent(new Event('beforeprint')); }")
    assert page.locator(".guess li button").first.is_visible()
    hidden = page.locator(":is(.guess-more, .guess-slider, .guessed)")
    assert hidden.count() > 5
    assert not any(hidden.nth(place).is_visible() for place in range(hidden.count()))
