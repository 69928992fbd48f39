"""The playground's workbench on the built page: changed scenes are those that the worlds would have drawn."""

import dataclasses
import gzip
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playground_page import PLACE, WELCOME, Visit, await_labels, changed, give, labels_of, png, shown, summary
from playwright.sync_api import Locator, Page, expect
from safetensors.numpy import load

import dmnet
from dmnet.analysis.inside import look_inside
from dmnet.playground.catalogue import BY_ID, QUESTIONS, PlayScene
from dmnet.playground.layers import pack_layers
from dmnet.playground.scenes import window_votes
from dmnet.transforms import evaluation_image
from dmnet.worlds.demo import WORLDS
from dmnet.worlds.drawing import Plan

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if not (HTML / "_static" / "playground" / "demo_scale" / "26.layers.gz").is_file():
        pytest.skip("the book is not built: `make book` builds it")


class Quiet:
    """Instead of a generator: a scene without noise."""

    def standard_normal(self, shape: Any, dtype: Any) -> Any:
        return np.zeros(shape, dtype)


def clean(plan: Plan) -> tuple[Any, Any]:
    """Paint a plan without noise; return the picture, as float, and the labels."""
    scene = plan.draw(Quiet())  # type: ignore[arg-type]
    return scene.image.astype(float), scene.mask


def moved(scene: PlayScene, number: int, changes: dict[str, Any], versions: Any = None) -> tuple[Any, Any]:
    """Let the world paint a scene in which one object is another; return the picture and the labels."""
    plan = scene.plan()
    painters: list[Any] = list(plan.painters)
    one = painters.pop(number - 1)
    painters.append(dataclasses.replace(one, item=dataclasses.replace(one.item, **changes)))
    before = clean(plan)[0]
    after, labels = clean(dataclasses.replace(plan, painters=painters, versions=versions or plan.versions))
    return scene.draw().image + after - before, labels


def shown_scene(page: Page) -> tuple[Any, Any]:
    """Return the picture and the labels that the page has put together."""
    present = f"(({{ picture, truth }}) => [[...picture.pixels], [...truth]])({PLACE}.present)"
    found = json.loads(page.evaluate(f"JSON.stringify({present})"))
    side = math.isqrt(len(found[1]))
    return np.array(found[0]).reshape(side, side, 3), np.array(found[1]).reshape(side, side)


def assert_same_picture(picture: Any, expected: Any) -> None:
    """Assert that they are equal, but for layers that are rounded to bytes and glints that are cut off."""
    error = np.abs(picture - expected.clip(0, 255))
    assert error.max() <= 12
    assert np.quantile(error, 0.999) <= 2


def open_bench(page: Page) -> Locator:
    page.get_by_role("button", name="Change …").click()
    page.wait_for_function(f"{PLACE}.view.editor.composed")
    return page.locator(".stage .frame canvas")


def tool(page: Page, name: str) -> Locator:
    """Return the button that says what a tap on the picture does."""
    tools = page.get_by_role("group", name="What a tap on the picture does")
    return tools.get_by_role("button", name=name, exact=True)


def edits(page: Page) -> list[str]:
    found: list[str] = page.evaluate(f"{PLACE}.state.edits")
    return found


def point(canvas: Locator, x: float, y: float) -> tuple[float, float]:
    """Return where a pixel of the picture is on the screen."""
    box = canvas.bounding_box()
    assert box is not None
    side = canvas.evaluate("one => one.width")
    return box["x"] + (x + 0.5) * box["width"] / side, box["y"] + (y + 0.5) * box["height"] / side


def drag(page: Page, canvas: Locator, start: tuple[int, int], end: tuple[int, int]) -> None:
    canvas.scroll_into_view_if_needed()
    page.mouse.move(*point(canvas, *start))
    page.mouse.down()
    page.mouse.move(*point(canvas, *end), steps=6)
    page.mouse.up()


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "edit", "number", "changes"),
    [
        ("scale-26", ["move 3 80 41"], 3, {"x": 80, "y": 41}),
        ("scale-26", ["move 7 2 158"], 7, {"x": 2, "y": 158}),
        ("scale-26", ["size 5 2", "move 5 66 70"], 5, {"x": 66, "y": 70, "diameter": 2.0}),
        ("context-13", ["move 1 64 39"], 1, {"x": 64, "y": 39}),
        ("context-13", ["size 2 -1", "move 2 30 100"], 2, {"x": 30, "y": 100, "diameter": 0.5**0.5}),
    ],
)
def test_a_changed_object_is_painted_as_the_world_paints_it(
    visit: Visit, name: str, edit: list[str], number: int, changes: dict[str, float]
) -> None:
    scene = BY_ID[name]
    item = scene.plan().painters[number - 1].item
    wanted = {
        "x": changes.get("x", math.floor(item.x)) + item.x % 1,
        "y": changes.get("y", math.floor(item.y)) + item.y % 1,
        "diameter": item.diameter * changes.get("diameter", 1),
    }
    page = shown(visit).page
    found = changed(page, {"scene": name, "edits": edit})
    picture, labels = shown_scene(page)
    expected, expected_labels = moved(scene, number, wanted)
    image = scene.draw().image
    assert_same_picture(picture, expected)
    assert (picture == image).all(-1).mean() > 0.5  # and nothing else is touched
    same_kind = {0: 0, 255: 255, 1: 1, 2: 1, 3: 3, 4: 3, 5: 5, 6: 6}  # a ruby has another name elsewhere
    assert [same_kind[one] for one in labels.ravel()] == [same_kind[one] for one in expected_labels.ravel()]
    x = evaluation_image(scene.world, picture.astype(np.uint8))
    logits = look_inside(dmnet.load_pretrained(scene.world), x, [1] * 4).logits.ravel()
    np.testing.assert_allclose(found["logits"], logits, atol=1e-3 * float(logits.abs().max()), rtol=0)


def test_a_ruby_dragged_over_the_line_changes_its_name(visit: Visit) -> None:
    """What an object is called follows from where it lies: that is the question of the world."""
    scene = PlayScene("demo_scale", 26)
    drawn = scene.draw()
    number, ruby = next((i + 1, one) for i, one in enumerate(drawn.objects) if one.label == 1)
    cool = np.argwhere(~drawn.truth["warm_side"][20:140, 20:140]) + 20
    y, x = cool[len(cool) // 2].tolist()
    page = shown(visit).page
    changed(page, {"scene": scene.id, "edits": [f"move {number} {x} {y}"]})
    _, labels = shown_scene(page)
    assert labels[y, x] == 2
    assert drawn.mask[round(ruby.y), round(ruby.x)] == 1
    changed(page, {"edits": [f"move {number} {x} {y}", "exchange warm"]})
    assert shown_scene(page)[1][y, x] == 1


def test_an_exchanged_ground_is_painted_as_the_world_paints_it(visit: Visit) -> None:
    scene = PlayScene("demo_context", 13)
    plan = scene.plan()
    other = dataclasses.replace(plan, versions=1 - plan.versions)
    page = shown(visit).page
    changed(page, {"scene": scene.id, "edits": ["exchange warm"]})
    picture, labels = shown_scene(page)
    expected = scene.draw().image + clean(other)[0] - clean(plan)[0]
    assert_same_picture(picture, expected)
    swapped = {0: 0, 255: 255, 1: 2, 2: 1, 3: 4, 4: 3, 5: 5, 6: 6}
    assert (labels == np.vectorize(swapped.get)(scene.draw().mask)).all()
    expect(summary(page)).to_contain_text("of the pixels differ from before")
    expect(page.locator(".scale[data-k='7'] .caption").first).to_contain_text(re.compile(r"changed \d+ %"))


def test_dragging_undoing_and_sharing(visit: Visit) -> None:
    tab = shown(visit)
    page = tab.page
    canvas = open_bench(page)
    item = PlayScene("demo_scale", 26).draw().objects[2]
    x, y = math.floor(item.x), math.floor(item.y)
    before = labels_of(page)
    drag(page, canvas, (x, y), (x + 9, y - 6))
    assert edits(page) == [f"move 3 {x + 9} {y - 6}"]
    expect(page.get_by_label("Chosen object")).to_have_value("3")
    expect(summary(page)).to_contain_text("before")
    page.wait_for_url(f"**#play&scene=scale-26&edits=move+3+{x + 9}+{y - 6}")
    drag(page, canvas, (x + 9, y - 6), (x + 9, y + 300))  # not out of the picture
    assert edits(page) == [f"move 3 {x + 9} 159"]
    page.wait_for_url(f"**edits=move+3+{x + 9}+159")
    page.wait_for_function(f"!{PLACE}.asking")
    after = labels_of(page)
    page.reload()
    page.wait_for_function(f"{PLACE}?.answer?.logits", timeout=90_000)
    assert edits(page) == [f"move 3 {x + 9} 159"]
    await_labels(page, after)
    open_bench(page)
    expect(page.get_by_role("button", name="Remove")).to_be_disabled()
    page.get_by_role("button", name="As it was").click()
    assert edits(page) == []
    page.get_by_role("button", name="Undo").click()
    assert edits(page) == [f"move 3 {x + 9} 159"]
    page.get_by_role("button", name="Reset").click()
    await_labels(page, before)
    page.get_by_role("button", name="Done").click()
    expect(page.locator(".bench")).to_be_hidden()
    expect(page.locator(".panels > .panel")).to_have_count(3)
    assert tab.faults == []


def test_by_keyboard_alone(visit: Visit) -> None:
    page = shown(visit).page
    canvas = open_bench(page)
    item = PlayScene("demo_scale", 26).draw().objects[4]
    x, y = math.floor(item.x), math.floor(item.y)
    page.get_by_label("Chosen object").select_option("5")
    canvas.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert edits(page) == [f"move 5 {x + 2} {y + 7}"]
    expect(page.get_by_role("application", name="Coins 1, changed")).to_be_focused()
    expect(page.locator(".aloud")).to_contain_text(f"5 ruby at {x + 2}, {y + 7}. All scales on. mIoU")
    page.keyboard.press("+")
    assert edits(page)[-1] == "size 5 1"
    page.keyboard.press("Delete")
    assert edits(page)[-1] == "remove 5"
    expect(page.get_by_label("Chosen object")).to_have_value("0")
    tool(page, "light ↔ dark").click()
    canvas.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert re.fullmatch(r"turn light \d+", edits(page)[-1])
    page.keyboard.press("3")  # the switches' keys work here too
    expect(page.get_by_role("switch", name="Scale 3 by 3")).not_to_be_checked()


def test_escape_closes_it_and_keys_take_changes_back(visit: Visit) -> None:
    tab = shown(visit)
    page = tab.page
    canvas = open_bench(page)
    expect(canvas).to_be_focused()
    page.get_by_label("Chosen object").select_option("5")
    page.get_by_role("button", name="Remove").click()
    page.get_by_label("Brightness of the light").fill("60")
    page.get_by_label("Colour of the light").focus()
    for keys, wanted in (
        ("Control+z", ["remove 5"]),
        ("Control+z", []),
        ("Control+z", []),  # there is nothing more
        ("Control+Shift+z", ["remove 5"]),
        ("Control+y", ["remove 5", "brightness 60"]),
        ("Meta+z", ["remove 5"]),
    ):
        page.keyboard.press(keys)
        assert edits(page) == wanted, keys
    page.get_by_label("Brightness of the light").fill("80")
    page.keyboard.press("Control+y")  # what was undone before another change is gone
    assert edits(page) == ["remove 5", "brightness 80"]
    page.get_by_label("Chosen object").select_option("3")
    canvas.focus()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Chosen object")).to_have_value("0")  # first it lets go
    page.keyboard.press("Escape")
    expect(page.locator(".bench")).to_be_hidden()
    change = page.get_by_role("button", name="Change …")
    expect(change).to_be_focused()
    page.keyboard.press("Control+z")  # here too
    assert edits(page) == ["remove 5"]
    page.keyboard.press("Control+y")
    page.keyboard.press("Enter")
    expect(canvas).to_be_focused()
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Escape")
    expect(change).to_be_focused()
    assert tab.faults == []


def test_adding_covering_turning_and_light(visit: Visit) -> None:
    page = shown(visit).page
    changed(page, {"scene": "context-13"})
    canvas = open_bench(page)
    tool(page, "cover").click()
    page.mouse.click(*point(canvas, 64, 64))
    assert edits(page) == ["add cover 64 64"]
    expect(page.get_by_label("Chosen object")).to_have_value("8")
    page.get_by_label("Size", exact=True).press("End")
    assert edits(page)[-1] == "size 8 4"
    _, labels = shown_scene(page)
    assert (labels[20:108, 20:108] == 255).all()  # under a card nothing counts
    page.get_by_role("button", name="Remove").click()
    tool(page, "warm ↔ cool").click()
    plan = PlayScene("demo_context", 13).plan()
    free = np.argwhere(PlayScene("demo_context", 13).draw().mask == 0)
    y, x = free[len(free) // 2].tolist()
    page.mouse.click(*point(canvas, x, y))
    turned = edits(page)[-1]
    assert re.fullmatch(r"turn warm \d+", turned)
    picture, _ = shown_scene(page)
    touched = (picture != PlayScene("demo_context", 13).draw().image).any(-1)
    assert touched.any()
    assert (plan.patch[touched] == plan.patch[y, x]).all()  # one patch, and nothing else
    page.mouse.click(*point(canvas, x, y))  # back again
    assert turned not in edits(page)
    page.get_by_label("Warm share").fill("90")
    assert edits(page)[-1] == "share 90"
    page.get_by_label("Brightness of the light").fill("60")
    page.get_by_label("Colour of the light").fill("-50")
    assert edits(page)[-2:] == ["brightness 60", "warmth -50"]
    darker, _ = shown_scene(page)
    assert darker.mean() < 0.75 * picture.mean()


def test_a_stroke_turns_all_patches_that_it_crosses(visit: Visit) -> None:
    """To the kind that the first one was not, and one step back undoes it. What odd light does is said."""
    page = shown(visit, WELCOME).page
    canvas = open_bench(page)
    tool(page, "warm ↔ cool").click()
    layers = load(gzip.decompress(pack_layers(PlayScene("demo_context", 13))))
    row, versions = layers["patch"][122, 8:120].tolist(), layers["versions"]
    drag(page, canvas, (8, 122), (119, 122))
    turned = {one for one in row if versions[one] == versions[row[0]]}
    assert {int(one.split()[-1]) for one in edits(page)} == turned
    assert len(set(row)) > len(turned) > 2
    page.keyboard.press("Control+z")
    assert edits(page) == []
    note = page.get_by_text("This light is not that of the pictures")
    expect(note).to_be_hidden()
    page.get_by_label("Brightness of the light").fill("60")
    expect(note).to_be_visible()


PLACES = {
    "scale-26": {"ruby": [(30, 30), (128, 41)], "jade": [(60, 92), (100, 130)], "cross": [(80, 60)]},
    "context-13": {"ruby": [(35, 35)], "jade": [(92, 40)], "ring": [(40, 95)], "frame": [(95, 95)]},
}


@pytest.mark.parametrize("name", PLACES)
def test_a_drawing_is_painted_and_labelled_as_the_world_does_it(visit: Visit, name: str) -> None:
    """Drawn on the empty ground: picture, labels and what the network says of it are those of Python."""
    scene = BY_ID[name]
    plan, stock = scene.plan(), WORLDS[scene.world].stock()
    painters = []
    for kind, places in PLACES[name].items():
        for x, y in places:
            item = stock[kind].item
            label = next(
                (
                    pair[0 if plan.truth[question.hidden][y, x] else 1]
                    for question in QUESTIONS[scene.world]
                    for pair in question.pairs
                    if item.label in pair
                ),
                item.label,
            )
            item = dataclasses.replace(item, label=label, x=x + item.x % 1, y=y + item.y % 1)
            painters.append(dataclasses.replace(stock[kind], item=item))
    expected, expected_labels = clean(dataclasses.replace(plan, painters=painters))
    page = shown(visit).page
    adds = [f"add {kind} {x} {y}" for kind, places in PLACES[name].items() for x, y in places]
    found = changed(page, {"scene": name, "edits": ["remove all", *adds]})
    picture, labels = shown_scene(page)
    covered = clean(plan)[1] > 0  # there the noise is that of an object that has gone
    noise = np.where(covered[..., None], 0, scene.draw().image - clean(plan)[0])
    error = np.abs(picture - (expected + noise).clip(0, 255))[~covered]
    assert error.max() <= 12
    assert np.quantile(error, 0.999) <= 2
    assert (labels == expected_labels).all()
    logits = look_inside(
        dmnet.load_pretrained(scene.world),
        evaluation_image(scene.world, picture.astype(np.uint8)),
        [1] * 4,
    ).logits.ravel()
    np.testing.assert_allclose(found["logits"], logits, atol=1e-3 * float(logits.abs().max()), rtol=0)
    expect(summary(page)).to_contain_text("· 0 % of the pixels differ from the full network")


def open_pad(page: Page) -> Locator:
    page.get_by_role("button", name="Draw …").click()
    page.wait_for_function(f"{PLACE}.view.editor.composed?.arrangement.placed.length === 0")
    return page.locator(".stage .frame canvas")


def test_drawing_by_mouse(visit: Visit) -> None:
    tab = shown(visit, WELCOME)
    page = tab.page
    canvas, names = open_pad(page), page.locator(".names")
    assert edits(page) == ["remove all"]
    expect(page.locator(".hint")).to_contain_text("Quilt 1, emptied for a drawing of yours")
    expect(tool(page, "ruby")).to_have_attribute("aria-pressed", "true")
    expect(names).to_have_text("")
    page.mouse.click(*point(canvas, 35, 35))
    expect(names).to_have_text("The network names the object rightly.")
    tool(page, "ring").click()
    page.mouse.click(*point(canvas, 92, 40))
    expect(names).to_have_text("The network names both objects rightly.")
    assert edits(page) == ["remove all", "add ruby 35 35", "add ring 92 40"]
    tool(page, "jade").click()
    drag(page, canvas, (40, 95), (60, 90))  # put, and moved while the button is down
    assert edits(page)[-2:] == ["add jade 40 95", "move 10 60 90"]
    page.keyboard.press("Control+z")  # both at once
    assert edits(page) == ["remove all", "add ruby 35 35", "add ring 92 40"]
    drag(page, canvas, (35, 35), (35, 50))  # what lies there is taken hold of, and nothing put on it
    assert edits(page)[-1] == "move 8 35 50"
    tool(page, "Erase").click()
    page.mouse.click(*point(canvas, 35, 50))
    assert edits(page)[-1] == "remove 8"
    page.mouse.click(*point(canvas, 10, 120))  # nothing is there
    assert edits(page)[-1] == "remove 8"
    page.get_by_role("button", name="Done").click()
    page.wait_for_url("**edits=remove+all,add+ruby+35+35,add+ring+92+40,move+8+35+50,remove+8")
    drawn = edits(page)
    page.get_by_role("button", name="Draw …").click()  # it is there yet
    expect(tool(page, "Move")).to_be_visible()
    assert edits(page) == drawn
    page.get_by_role("button", name="As it was").click()
    assert edits(page) == []
    assert tab.faults == []


def test_drawing_by_keys(visit: Visit) -> None:
    page = shown(visit).page
    canvas = open_pad(page)
    tool(page, "ruby").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(tool(page, "cross")).to_have_attribute("aria-pressed", "true")
    canvas.focus()
    expect(page.locator(".marker")).to_be_visible()
    for key in ("ArrowUp", "Enter", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    assert edits(page) == ["remove all", "add cross 80 76", "add cross 60 76"]
    expect(page.locator(".aloud")).to_contain_text("The network names both objects rightly.")
    page.keyboard.press("Enter")  # takes hold of what lies there
    expect(page.get_by_label("Chosen object")).not_to_have_value("0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")  # and lets it go
    expect(page.get_by_label("Chosen object")).to_have_value("0")
    assert re.fullmatch(r"move \d+ 60 77", edits(page)[-1])


def test_drawing_by_touch_on_a_telephone(visit: Visit) -> None:
    viewport = {"width": 390, "height": 844}
    page = shown(visit, viewport=viewport, has_touch=True, is_mobile=True, reduced_motion="reduce").page
    canvas = open_pad(page)
    for name, x, y in (("jade", 40, 40), ("ring", 110, 60), ("ruby", 80, 120)):
        tool(page, name).tap()
        page.touchscreen.tap(*point(canvas, x, y))
    expect(page.locator(".names")).to_contain_text(re.compile("names (all 3|[012] of 3) objects rightly"))
    assert edits(page) == ["remove all", "add jade 40 40", "add ring 110 60", "add ruby 80 120"]
    for one in (canvas, tool(page, "Erase"), page.get_by_label("The network's labels")):
        expect(one).to_be_in_viewport(ratio=0.9)  # all on one screen
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_wrong_name_is_found_in_the_picture(visit: Visit) -> None:
    page = shown(visit).page
    open_pad(page)
    changed(page, {"edits": ["remove all", "add ruby 30 120", "add ring 100 60"], "gates": [1, 1, 1, 0]})
    expect(page.locator(".names")).to_contain_text("names 1 of 2 objects rightly; not:")
    page.locator(".names button").click()
    expect(page.get_by_label("Chosen object")).to_have_value(re.compile(r"\d\d"))
    expect(page.locator(".marker")).to_be_visible()
    tiles = sorted(set(load(gzip.decompress(pack_layers(BY_ID["scale-26"])))["patch"].ravel().tolist()))
    expect(page.locator(".bench")).to_contain_text("“Reveal” shows them")
    changed(page, {"edits": ["remove all", *(f"turn warm {one}" for one in tiles)]})
    expect(page.locator(".bench")).to_contain_text("Turned tiles move no line")


def test_the_answer_follows_the_quilts_majority(visit: Visit) -> None:
    """Turned patch by patch: nobody touches the pieces, and at some share their names change."""
    page = shown(visit).page
    named = []
    for share in (10, 90):
        labels = np.array(changed(page, {"scene": "context-13", "edits": [f"share {share}"]})["labels"])
        named.append(np.isin(labels, (1, 3)).sum() / np.isin(labels, (1, 2, 3, 4)).sum())
        truth = shown_scene(page)[1]
        assert np.isin(truth, (1, 3)).any() == (share == 90)
    assert named[0] < 0.1 < 0.9 < named[1]


def test_filters_of_the_scene_as_it_was(visit: Visit) -> None:
    page = shown(visit).page
    changed(page, {"scene": "context-13", "edits": ["exchange warm"]})
    page.get_by_label("Filters of").select_option(label="Quilt 1, as it was")
    expect(page.locator(".scale[data-k='7'] .caption").first).not_to_contain_text("changed")
    changed(page, {"scene": "context-13", "edits": [], "donor": "context-15"})
    page.get_by_role("button", name="⇄").click()
    expect(page.get_by_label("Filters of")).to_have_value("context-13")
    expect(page.get_by_label("Scene")).to_have_value("context-15")


@pytest.mark.parametrize("name", ["scale-26", "context-13"])
def test_the_page_counts_windows_votes_as_the_package_does(visit: Visit, name: str) -> None:
    page = shown(visit).page
    changed(page, {"scene": name})
    page.get_by_text("Which scale matters here?").click()
    rows = page.locator(".statistics tbody tr")
    scene = BY_ID[name]
    questions, drawn = QUESTIONS[scene.world], scene.draw()
    expect(rows).to_have_count(len(questions))
    for row, question in zip(rows.all(), questions, strict=True):
        votes = [window_votes(drawn, question, side) for side in (8, 24, 40, 56, 2 * len(drawn.mask))]
        expect(row.locator("th")).to_have_text(question.text)
        assert row.locator("td").all_text_contents() == [f"{sum(one)}/{len(one)}" for one in votes]


def test_by_touch_on_a_telephone(visit: Visit) -> None:
    viewport = {"width": 360, "height": 740}
    page = shown(visit, viewport=viewport, has_touch=True, is_mobile=True).page
    canvas = open_bench(page)
    item = PlayScene("demo_scale", 26).draw().objects[0]
    canvas.scroll_into_view_if_needed()
    page.touchscreen.tap(*point(canvas, math.floor(item.x), math.floor(item.y)))
    expect(page.get_by_label("Chosen object")).to_have_value("1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    outside = page.locator(".field *").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().right > 361).map(one => one.className)"
    )
    assert outside == []


def test_where_nothing_can_be_changed(visit: Visit, tmp_path: Path) -> None:
    page = shown(visit).page
    open_bench(page)
    give(page, "mine.png", png(np.zeros((40, 40, 3), np.uint8)))
    expect(page.locator(".hint")).to_contain_text("Your picture")
    expect(page.locator(".bench")).to_be_hidden()
    expect(page.get_by_role("button", name="Change …")).to_be_hidden()


def test_layers_that_are_missing_are_told(visit: Visit) -> None:
    tab = visit(WELCOME)
    tab.page.route("**/*.layers.gz", lambda route: route.abort())
    tab.page.wait_for_function(f"{PLACE}?.answer?.logits", timeout=90_000)
    tab.page.get_by_role("button", name="Change …").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("This cannot be shown")
    expect(tab.page.locator(".bench")).to_be_hidden()
    tab.page.locator(".scale[data-k='7'] .switch").click()
    expect(summary(tab.page)).not_to_contain_text("· 0 % of the pixels differ")
