"""The playground's tour on the built page: guesses, what it points at, outcomes read off the page."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playground_page import PLACE, Visit, shown, switch
from playwright.sync_api import Locator, Page, expect

import dmnet
from dmnet.playground.catalogue import BY_ID

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / ".venv" / "javascript" / "node_modules" / "axe-core" / "axe.min.js"
TELEPHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SUBJECT = {"rubies": (1, 2), "jades": (3, 4)}


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if not (ROOT / "_build" / "html" / "_static" / "playground" / "playground.js").is_file():
        pytest.skip("the book is not built: `make book` builds it")


def begin(visit: Visit, **options: Any) -> tuple[Page, Locator, Locator]:
    """Start the tour; return the page, the outcome, and what is pointed at."""
    page = shown(visit, **options).page
    page.get_by_role("button", name="Tour").click()
    expect(page.locator(".tour .question")).to_be_focused()
    return page, page.locator(".tour .outcome"), page.locator(".here")


def button(page: Page, name: str) -> Locator:
    return page.locator(".tour").get_by_role("button", name=name, exact=True)


def step(page: Page) -> Locator:
    return page.locator(".tour .count")


def group_iou(gates: list[float], group: str) -> float:
    """Mean IoU of two classes, as the page counts it."""
    scene = BY_ID["scale-26"].draw()
    labels = dmnet.predict(dmnet.load_pretrained("demo_scale"), scene.image, gates)
    counted = scene.mask != 255
    pairs = [((labels == c) & counted, (scene.mask == c) & counted) for c in SUBJECT[group]]
    return float(np.mean([(one & other).sum() / (one | other).sum() for one, other in pairs]))


def test_from_the_first_step_to_the_last(visit: Visit) -> None:
    page, outcome, here = begin(visit)
    ahead = button(page, "Next")
    expect(step(page)).to_have_text("Step 1 of 5")
    expect(button(page, "Back")).to_be_hidden()
    expect(here).to_have_count(0)
    assert page.locator(".guesses button").count() == 4
    button(page, "The jades").click()
    expect(here).to_contain_text("7 × 7")
    expect(here).to_be_in_viewport()
    here.click()
    expect(outcome).to_contain_text("Not this time: you guessed “The jades”, it is “The rubies”.")
    for gates, said in (([1, 1, 1, 1], "with all scales: "), ([1, 1, 1, 0], "Without 7 × 7: ")):
        expect(outcome).to_contain_text(f"{said}rubies {100 * group_iou(gates, 'rubies'):.0f} %, jades")
    expect(outcome).to_contain_text("A side is wide")
    expect(here).to_have_count(0)
    expect(page.get_by_label("The network's labels")).to_be_in_viewport(ratio=1)
    button(page, "Both").click(force=True)  # afterwards a guess is none
    expect(button(page, "The jades")).to_have_attribute("aria-pressed", "true")
    ahead.click()
    expect(switch(page, 7)).to_be_checked()
    button(page, "The jades").click()
    expect(here).to_be_in_viewport()
    here.click()
    expect(outcome).to_contain_text("As you guessed: “The jades”.")
    ahead.click()
    page.get_by_role("slider", name="Weight of scale 7 by 7").fill("2")  # without a guess
    expect(outcome).to_contain_text(re.compile(r"^Scores \(IoU\) with weights of 1: rubies"))
    ahead.click()
    button(page, "Some of both").click()
    expect(here).to_contain_text("Filters of")
    expect(here).to_be_in_viewport()
    page.get_by_label("Filters of").select_option(label="Quilt 6")
    expect(outcome).to_contain_text("it is “The warm names”", timeout=90_000)
    model = dmnet.load_pretrained("demo_context")
    labels = dmnet.predict(model, BY_ID["context-13"].draw().image)
    warm = np.isin(labels, (1, 3)).sum() / np.isin(labels, (1, 2, 3, 4)).sum()
    expect(outcome).to_contain_text(f"With its own filters {100 * warm:.0f} %")
    ahead.click()
    expect(step(page)).to_have_text("Step 5 of 5")
    assert page.locator(".guesses button").count() == 0
    button(page, "Done").click()
    expect(page.locator(".tour")).to_be_hidden()
    expect(page.get_by_role("button", name="Tour")).to_be_focused()


def test_another_change_is_not_what_was_asked_for(visit: Visit) -> None:
    page, outcome, _ = begin(visit)
    switch(page, 5).click(force=True)
    page.wait_for_function(f"{PLACE}.state.gates[2] === 0 && !{PLACE}.asking")
    switch(page, 7).click(force=True)
    page.wait_for_function(f"{PLACE}.state.gates[3] === 0 && !{PLACE}.asking")
    expect(outcome).to_have_text("")
    switch(page, 5).click(force=True)
    expect(outcome).to_contain_text("Without 7 × 7: rubies")


def test_show_me_back_and_a_guess_that_is_kept(visit: Visit) -> None:
    page, outcome, here = begin(visit)
    button(page, "The rubies").click()
    expect(page.locator(".tour .todo")).to_contain_text("Noted.")
    kept = json.loads(page.evaluate("localStorage.getItem('dmnet-guesses')"))
    assert list(kept.values()) == ["The rubies"]
    page.evaluate(
        """const all = JSON.parse(localStorage['dmnet-guesses']);
        localStorage.setItem('dmnet-guesses', JSON.stringify({ ...all, other: '1' }))"""
    )
    button(page, "Show me").click()
    expect(switch(page, 7)).not_to_be_checked()
    expect(outcome).to_contain_text("As you guessed: “The rubies”.")
    expect(button(page, "Show me")).to_be_hidden()
    expect(button(page, "Next")).to_be_focused()  # the keyboard's place is not lost with that button
    page.keyboard.press("Enter")
    button(page, "Show me").click()
    expect(switch(page, 3)).not_to_be_checked()
    expect(outcome).to_contain_text("Scores (IoU) with all scales")
    expect(outcome).not_to_contain_text("guessed")
    button(page, "Back").click()
    expect(step(page)).to_have_text("Step 1 of 5")
    expect(switch(page, 3)).to_be_checked()
    expect(button(page, "The rubies")).to_have_attribute("aria-pressed", "true")
    expect(outcome).to_have_text("")
    expect(here).to_have_count(1)
    button(page, "Both").click()
    stored = json.loads(page.evaluate("localStorage.getItem('dmnet-guesses')"))
    assert sorted(stored.values()) == ["1", "Both"]  # the book's own guesses are left alone
    page.reload()
    page.wait_for_function(f"{PLACE}?.answer?.logits", timeout=90_000)
    page.get_by_role("button", name="Tour").click()
    expect(button(page, "Both")).to_have_attribute("aria-pressed", "true")


def test_by_keyboard_and_aloud(visit: Visit) -> None:
    page, outcome, _ = begin(visit)
    page.keyboard.press("Tab")
    expect(button(page, "The rubies")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".tour [role=status]").first).to_contain_text("switch 7 × 7 off")
    page.keyboard.press("7")
    expect(outcome).to_contain_text("As you guessed")
    assert outcome.get_attribute("role") == "status"
    switch(page, 5).focus()
    page.keyboard.press("Escape")
    expect(button(page, "Next")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".tour .question")).to_be_focused()
    expect(step(page)).to_have_text("Step 2 of 5")


def test_it_can_be_skipped(visit: Visit) -> None:
    page, _, here = begin(visit, live=False)
    button(page, "Neither").click()
    button(page, "Skip the tour").click()
    expect(page.locator(".tour")).to_be_hidden()
    expect(here).to_have_count(0)
    expect(page.get_by_role("button", name="Tour")).to_be_focused()


def test_another_scene_ends_it_and_says_so(visit: Visit) -> None:
    page, _, here = begin(visit, live=False)
    button(page, "Neither").click()
    page.get_by_label("Scene").select_option(label="Coins 2")
    expect(page.locator(".tour")).to_contain_text("The tour has ended: this is another scene.")
    expect(here).to_have_count(0)
    button(page, "Close the tour").click()
    expect(page.locator(".tour")).to_be_hidden()
    page.get_by_role("button", name="Tour").click()  # and it begins anew
    expect(step(page)).to_have_text("Step 1 of 5")
    expect(button(page, "Next")).to_be_visible()


@pytest.mark.few(1)
@pytest.mark.parametrize("way", ["Escape", "Reset", "Skip"])
def test_who_leaves_it_gets_the_scenes_own_filters_back(visit: Visit, way: str) -> None:
    page, outcome, _ = begin(visit)
    for _ in range(3):
        button(page, "Next").click()
    button(page, "Show me").click()
    expect(page.get_by_label("Filters of")).to_have_value("context-15")
    expect(outcome).to_contain_text("With its own filters", timeout=90_000)
    if way == "Escape":
        button(page, "Next").press("Escape")
    elif way == "Reset":
        page.get_by_role("button", name="Reset").click()
    else:
        button(page, "Skip the tour").click()
    expect(page.locator(".tour")).to_be_hidden()
    expect(page.get_by_role("button", name="Tour")).to_be_focused()
    expect(page.get_by_label("Filters of")).to_have_value("")


def test_where_nothing_can_be_kept(visit: Visit) -> None:
    page, outcome, _ = begin(visit)
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full'); }; }")
    button(page, "The jades").click()
    expect(page.locator(".tour .todo")).to_have_text(re.compile("^Now switch 7 × 7 off"))
    page.keyboard.press("7")
    expect(outcome).to_contain_text("you guessed “The jades”")


@pytest.mark.few(1)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_telephone_words_control_and_prediction_are_on_one_screen(visit: Visit, theme: Any) -> None:
    page, outcome, here = begin(visit, **TELEPHONE, color_scheme=theme, reduced_motion="reduce")
    for guess in ("The rubies", "The jades"):
        button(page, guess).tap()
        expect(page.locator(".tour .todo")).not_to_contain_text("key")  # there is none
        for one in (here, page.locator(".tour .todo"), page.get_by_label("The network's labels")):
            expect(one).to_be_in_viewport(ratio=1)
        box = here.bounding_box()
        assert box
        page.touchscreen.tap(box["x"] + 20, box["y"] + box["height"] / 2)  # nothing lies over it
        expect(outcome).to_contain_text("As you guessed")
        expect(outcome).to_be_in_viewport(ratio=1)
        expect(page.get_by_label("The network's labels")).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        button(page, "Next").tap()
    button(page, "The rubies alone").tap()
    button(page, "Next").tap()
    button(page, "As before").tap()
    expect(page.locator(".tour .todo")).not_to_contain_text("drag")
    assert here.evaluate("one => getComputedStyle(one).animationName") == "none"


# Nothing lies over an element: five points of it are its own, or those of a mark on it.
OPEN = """(element) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return [[0.5, 0.5], [0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]].every(([x, y]) =>
        element.contains(document.elementFromPoint(left + x * width, top + y * height)));
}"""


def in_sight(page: Page, *those: Locator) -> None:
    for one in those:
        expect(one).to_be_in_viewport(ratio=0.98)  # it may stand between two pixels
        page.wait_for_function(OPEN, arg=one.element_handle())


@pytest.mark.few(2)
@pytest.mark.parametrize("size", [(1280, 800), (1280, 640), (768, 1024), (390, 844), (390, 664), (375, 553)])
def test_pictures_control_and_words_are_in_sight_at_every_step(visit: Visit, size: tuple[int, int]) -> None:
    telephone = TELEPHONE if size[0] < 500 else {}
    viewport = {"viewport": dict(zip(("width", "height"), size, strict=True))}
    page, outcome, here = begin(visit, **telephone | viewport, reduced_motion="reduce")
    pictures = [page.locator(f".panel.{kind} canvas") for kind in ("picture", "prediction")]
    words, legend = page.locator(".tour .todo"), page.locator(".legend")
    for guess in ("The rubies", "The jades", "Nobody", "Some of both"):
        in_sight(page, *pictures, page.locator(".tour .question"), button(page, "Next"))
        button(page, guess).click()
        in_sight(page, *pictures, here, words, button(page, "Next"))
        button(page, "Show me").press("Enter")
        expect(outcome).not_to_have_text("", timeout=90_000)
        in_sight(page, *pictures, legend, button(page, "Next"))
        expect(button(page, "Next")).to_be_focused()
        page.keyboard.press("Enter")
    in_sight(page, *pictures, button(page, "Done"))
    button(page, "Draw …").click()
    in_sight(page, page.locator(".stage .frame canvas"))
    expect(page.locator(".tour")).to_be_hidden()
    page.get_by_role("button", name="Change …").click()
    expect(page.locator(".panels .side")).to_have_count(0 if telephone else 1)
    expect(page.locator(".field.staying")).to_have_count(1 if telephone else 0)
    expect(page.locator(".field .legend")).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 390])
def test_begun_further_down_it_points_at_what_can_be_seen(visit: Visit, width: int) -> None:
    page, _, here = begin(visit, viewport={"width": width, "height": 800}, reduced_motion="reduce")
    button(page, "The rubies").click()
    button(page, "Next").click()
    button(page, "The jades").click()  # both guesses are kept
    button(page, "Skip the tour").click()
    page.locator(".footer").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('.toolbar').scrollIntoView()")
    page.get_by_role("button", name="Tour").press("Enter")
    for words in ("switch 7 × 7 off", "switch 3 × 3 off"):
        expect(page.locator(".tour .todo")).to_contain_text(f"You have guessed before. Now {words}")
        in_sight(page, here, page.get_by_label("The network's labels"))
        expect(page.locator(".tour .question")).to_be_focused()
        button(page, "Next").press("Enter")


def test_the_workbench_opens_and_closes_on_a_tour(visit: Visit) -> None:
    page, _, _ = begin(visit)
    for opens in (True, False):
        page.get_by_role("button", name="Change …").click()
        expect(page.locator(".field.editing")).to_have_count(int(opens))
        expect(page.locator(".field.staying")).to_have_count(int(not opens))
        expect(page.locator(".tour .question")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_axe_finds_nothing_in_tour_and_workbench(visit: Visit) -> None:
    if not AXE.is_file():
        pytest.skip("needs axe-core, which `make setup` fetches")
    page, _, _ = begin(visit, bypass_csp=True)
    button(page, "The jades").click()
    page.add_script_tag(path=str(AXE))
    findings = "async () => (await axe.run('.dmnet-app.playground')).violations.map(({ id }) => id)"
    assert page.evaluate(findings) == []
    button(page, "Skip the tour").click()
    page.get_by_role("button", name="Draw …").click()
    expect(page.locator(".tools")).to_be_visible()
    assert page.evaluate(findings) == []
