"""The card of a pinned pixel in the playground: held against Python, moved by switches, edits, keys."""

import re
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from playground_page import PLACE, Visit, changed, shown, switch
from playwright.sync_api import Locator, Page, expect
from torch import Tensor

import dmnet
from dmnet.analysis.inside import look_inside
from dmnet.playground.catalogue import BY_ID, SUBSETS
from dmnet.transforms import evaluation_image
from dmnet.worlds.demo import WORLDS

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / ".venv" / "javascript" / "node_modules" / "axe-core" / "axe.min.js"
TELEPHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if not (ROOT / "_build" / "html" / "_static" / "playground" / "playground.js").is_file():
        pytest.skip("the book is not built: `make book` builds it")


def shares(state: dict[str, Any], x: int, y: int) -> tuple[Tensor, list[str]]:
    """What features, scales and all together add to two classes, by all orders of the scales; their names."""
    scene, gates = BY_ID[state["scene"]], state["gates"]
    model, classes = dmnet.load_pretrained(scene.world), WORLDS[scene.world].classes.names
    image = scene.draw().image
    pictures = [evaluation_image(scene.world, image)]
    if state.get("donor"):
        pictures.append(evaluation_image(scene.world, BY_ID[state["donor"]].draw().image))
    z = {}
    for subset in SUBSETS:
        weights = [one * (gate or 1) for one, gate in zip(subset, gates, strict=True)]
        logits = look_inside(model, pictures[0], weights, donor=(pictures[1:] or [None])[0]).logits
        z[subset] = F.interpolate(logits[None], image.shape[:2], mode="bilinear")[0, :, y, x]
    on = [k for k in range(4) if gates[k]]
    added, every = torch.zeros(4, len(classes)), list(permutations(on))
    for order in every:
        before = [0] * 4
        for k in order:
            after = [int(place == k or one) for place, one in enumerate(before)]
            added[k] += (z[tuple(after)] - z[tuple(before)]) / len(every)
            before = after
    now = z[tuple(int(gate > 0) for gate in gates)]
    best = int(z[1, 1, 1, 1].argmax())
    rival = int(now.index_fill(0, torch.tensor(best), -torch.inf).argmax())
    rows = torch.stack([z[0, 0, 0, 0], *added, now])[:, [best, rival]]
    said = f"{classes[int(now.argmax())].replace('_', ' ')}, {100 * now.softmax(0).max():.0f} % sure."
    return rows, [classes[c].replace("_", " ") for c in (best, rival)] + [said]


def card(page: Page | Locator) -> Locator:
    found = page.locator(".why")
    expect(found).to_have_attribute("aria-busy", "false", timeout=30_000)
    return found


def table(page: Page) -> Tensor:
    """The first two numbers of every row; 0 where a scale is off."""
    texts = """all => all.map((row) => [...row.querySelectorAll("td:not(.bars)")].slice(0, 2)
        .map((one) => one.textContent))"""
    rows = card(page).locator("tr:has(td.bars)").evaluate_all(texts)
    return torch.tensor(
        [[0 if text == "off" else float(text.replace("−", "-")) for text in row] for row in rows]
    )


def pin(page: Page, x: int, y: int) -> list[int]:
    """Click on that pixel of the prediction, or a neighbour of it; return which."""
    canvas = page.get_by_label("The network's labels")
    box = canvas.bounding_box()
    assert box
    size = canvas.evaluate("one => one.width")
    canvas.click(position={"x": (x + 0.5) * box["width"] / size, "y": (y + 0.5) * box["height"] / size})
    page.mouse.move(1, 1)  # a click is at whole pixels of the screen, the pointer is not
    column, row = map(int, re.findall(r"\d+", page.locator(".pointed").inner_text())[:2])
    assert max(abs(column - x), abs(row - y)) <= 1
    return [column, row]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "state",
    [
        {"scene": "scale-26", "gates": [1, 1, 1, 1]},
        {"scene": "scale-26", "gates": [1, 0, 1, 0.5]},
        {"scene": "context-13", "gates": [1, 1, 1, 0], "donor": "context-15"},
    ],
    ids=["all", "weights", "lent"],
)
def test_the_card_says_what_python_says(state: dict[str, Any], visit: Visit) -> None:
    tab = shown(visit)
    changed(tab.page, state)
    x, y = np.argwhere(BY_ID[state["scene"]].draw().mask.T % 255 > 0)[40].tolist()
    x, y = pin(tab.page, x, y)
    wanted, (*pair, said) = shares(state, x, y)
    torch.testing.assert_close(table(tab.page), wanted, rtol=2e-3, atol=0.11)
    assert card(tab.page).locator(".keys :is(.first, .second)").all_inner_texts() == pair
    assert re.sub(r"\.\d %", " %", card(tab.page).locator(".verdict").inner_text()).startswith(said)
    assert tab.faults == []


def test_a_switch_and_an_edit_move_the_bars(visit: Visit) -> None:
    """No answer is asked for twice: a switch alone needs none of the sixteen."""
    tab = shown(visit)
    page = tab.page
    y, x = np.argwhere(BY_ID["scale-26"].draw().mask == 1)[40].tolist()
    expect(page.locator(".why")).to_be_hidden()
    pin(page, x, y)
    before = table(page)
    page.evaluate(f"""() => {{
        const {{ ready, world }} = {PLACE}, engine = ready.get(world.name), {{ logits }} = engine;
        window.asked = 0;
        engine.logits = (inquiry) => {{ window.asked += 1; return logits.call(engine, inquiry); }};
    }}""")
    card(page).get_by_role("switch", name="Scale 7×7").click()
    expect(switch(page, 7)).not_to_be_checked()
    expect(card(page).locator("tr").nth(5)).to_contain_text("off")
    without = table(page)
    assert not torch.equal(without, before)
    assert page.evaluate("window.asked") == 0
    switch(page, 7).press("Space")
    expect(card(page).locator("tr").nth(5)).not_to_contain_text("off")
    changed(page, {"edits": ["exchange warm"]})
    assert not torch.equal(table(page), before)
    assert page.evaluate("window.asked") == 16
    changed(page, {"edits": [], "gates": [1, 1, 1, 0.5]})
    expect(card(page).locator("tr").nth(5)).to_contain_text("7×7 × 0.5")
    assert page.evaluate("window.asked") == 16 + 8  # the sets without 7×7 are known
    page.get_by_role("button", name="Let go of the pixel").click()
    expect(page.locator(".why")).to_be_hidden()
    assert tab.faults == []


def test_by_keys_and_without_the_network(visit: Visit) -> None:
    tab = shown(visit)
    prediction = tab.page.get_by_label("The network's labels")
    prediction.focus()
    prediction.press("ArrowLeft")
    assert table(tab.page).abs().max() > 1
    prediction.press("ArrowUp")
    expect(tab.page.locator(".aloud")).to_contain_text(re.compile(r"For .* against .*: features .*, 1×1 "))
    prediction.press("Escape")
    expect(tab.page.locator(".why")).to_be_hidden()

    page = visit("book/welcome.html").page
    page.route("**/*.onnx.gz", lambda route: route.abort())
    page.reload()
    page.wait_for_function(f"{PLACE}?.failed?.size", timeout=90_000)
    pin(page, 60, 60)
    expect(page.locator(".why")).to_contain_text("only the network can say, which cannot run here")


@pytest.mark.few(1)
@pytest.mark.parametrize("options", [{}, TELEPHONE], ids=["wide", "narrow"])
def test_reset_and_escape_let_the_pixel_go(visit: Visit, options: Any) -> None:
    tab = shown(visit, **options)
    page = tab.page
    expect(page.locator(".aloud").first).to_contain_text("All scales on")  # nothing else will be said
    for panel in ("picture", "prediction"):
        for way in ("Escape", "Reset", "Escape on the card"):
            page.locator(f".panel.{panel} canvas").click(position={"x": 40, "y": 40})
            page.mouse.move(1, 1)
            expect(page.locator(".why")).to_be_visible()
            page.wait_for_function("location.hash.includes('pixel=')")
            if way == "Escape":  # the click on the picture has left the focus nowhere
                page.keyboard.press("Escape")
                expect(page.locator(".aloud").first).to_have_text("No place is kept any more.")
            elif way == "Reset":
                page.get_by_role("button", name="Reset").click()
            else:
                page.get_by_role("button", name="Let go of the pixel").press("Escape")
                expect(page.get_by_label("The network's labels")).to_be_focused()
            expect(page.locator(".why")).to_be_hidden()
            expect(page.locator(".pointed")).to_have_class("pointed idle")
            expect(page.locator(".mark:visible")).to_have_count(0)
            page.wait_for_function("!location.hash.includes('pixel=')")
    assert tab.faults == []


def test_after_an_error_it_can_be_asked_again(visit: Visit) -> None:
    page = shown(visit).page
    page.evaluate(f"""() => {{
        const {{ ready, world }} = {PLACE}, engine = ready.get(world.name), {{ logits }} = engine;
        window.heal = () => {{ engine.logits = logits; }};
        window.asked = 0;
        engine.logits = async () => {{ window.asked += 1; throw new Error("out of memory"); }};
    }}""")
    pin(page, 60, 60)
    expect(page.locator(".why")).to_contain_text("Why, cannot be said: out of memory")
    page.get_by_label("The network's labels").hover()  # to point is not to ask
    page.mouse.move(1, 1)
    again = page.get_by_role("button", name="Ask again")
    again.click()
    page.wait_for_function("window.asked === 2")
    expect(again).to_be_visible()
    page.evaluate("window.heal()")
    again.click()
    assert table(page).abs().max() > 1
    expect(again).to_be_hidden()


@pytest.mark.parametrize("size", [(390, 844), (1280, 720)])
def test_who_clicks_sees_the_answer_and_the_picture(size: tuple[int, int], visit: Visit) -> None:
    """It opens below, where there may be no room left; who goes on clicking is not moved again."""
    width, height = size
    page = shown(visit, viewport={"width": width, "height": height}, reduced_motion="reduce").page
    picture = page.get_by_label("160 by 160 pixels")
    picture.click(position={"x": 60, "y": 60})
    expect(card(page).locator(".verdict")).to_be_in_viewport(ratio=1, timeout=60_000)
    expect(picture).to_be_in_viewport(ratio=0.9)
    top = page.evaluate("scrollY")
    assert top > 0
    page.evaluate("scrollTo(0, 0)")
    picture.click(position={"x": 90, "y": 90})
    expect(card(page)).to_have_attribute("aria-busy", "false")
    assert page.evaluate("scrollY") < top


def test_who_clicks_sees_the_answer_in_a_pane(visit: Visit) -> None:
    """In a notebook it is not the page that scrolls."""
    tab = shown(visit, viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    tab.page.evaluate(
        """() => {
            const pane = document.createElement("main");
            pane.style.cssText = "height: 100vh; overflow: auto; padding-top: 90px";
            pane.append(document.querySelector("[data-dmnet-playground]"));
            document.body.replaceChildren(pane);
        }"""
    )
    picture = tab.page.get_by_label("160 by 160 pixels")
    picture.click(position={"x": 60, "y": 60})
    expect(card(tab.page).locator(".verdict")).to_be_in_viewport(ratio=1, timeout=60_000)
    expect(picture).to_be_in_viewport(ratio=0.9)
    assert tab.page.evaluate("document.querySelector('main').scrollTop") > 0
    assert tab.page.evaluate("scrollY") == 0


@pytest.mark.few(1)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_telephone(theme: Any, visit: Visit) -> None:
    options = {"color_scheme": theme, "reduced_motion": "reduce", "bypass_csp": True}
    tab = shown(visit, **TELEPHONE, **options)
    pin(tab.page, 60, 60)
    assert tab.page.evaluate("() => document.documentElement.scrollWidth") == 390
    switch(tab.page, 7).locator("..").tap()  # far below: picture and prediction stay in sight
    for name in ("160 by 160 pixels", "The network's labels"):
        expect(tab.page.get_by_label(name)).to_be_in_viewport(ratio=1)
    expect(tab.page.get_by_label("The true labels")).not_to_be_in_viewport()
    switch(tab.page, 7).locator("..").tap()
    box = card(tab.page).get_by_role("button", name="Let go").bounding_box()
    assert box and box["height"] >= 44
    assert card(tab.page).locator("table").evaluate("one => one.scrollWidth <= one.parentElement.clientWidth")
    if not AXE.is_file():
        pytest.skip("needs axe-core, which `make setup` fetches")
    card(tab.page).get_by_role("switch", name="Scale 7×7").tap()
    expect(card(tab.page).locator("tr").nth(5)).to_contain_text("off")
    tab.page.add_script_tag(path=AXE)
    found = tab.page.evaluate(
        "async () => (await axe.run('.dmnet-app.playground')).violations.map(({ id }) => id)"
    )
    assert found == []
