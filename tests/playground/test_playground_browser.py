"""The playground on the built pages, in a real browser: by mouse, keyboard and address, on a telephone too.

What it computes is held against PyTorch; what goes wrong (broken files, a missing network) must be said.
"""

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Site, open_tab
from playground_page import (
    PLACE,
    WELCOME,
    Visit,
    await_labels,
    changed,
    give,
    labels_of,
    png,
    shown,
    summary,
    switch,
)
from playwright.sync_api import Browser, Locator, Page, expect

import dmnet
from dmnet.analysis.inside import look_inside
from dmnet.inference import labels_at
from dmnet.metrics import ConfusionMatrix
from dmnet.playground import bundle
from dmnet.playground.catalogue import BY_ID, CHANNELS, STILL, SUBSETS
from dmnet.playground.kernel import Desk
from dmnet.transforms import evaluation_image
from dmnet.upsampling import upsample
from dmnet.worlds.demo import WORLDS

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
RUNTIME = "_static/onnxruntime/ort-wasm-simd-threaded.wasm.gz"
SMALL = f"{PLACE}.engine().then(({{ small }}) => small)"  # whether the network runs without that
# Asks for what no file holds as soon as it can, and notes what has been fetched when that is answered.
SLIDE = """<script>
document.addEventListener("dmnet-answer", ({ target: { parentElement: { playground } } }) => {
    if (playground.state.gates[3] === 1) playground.set({ gates: [1, 1, 1, 0.35] });
    else if (playground.answer.logits) window.fetched ??= ["navigation", "resource"]
        .flatMap((kind) => performance.getEntriesByType(kind)).map((one) => [one.name, one.encodedBodySize]);
});
</script>"""
BOMB = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x80\0\0\0\x80\0"  # claims 2^30 pixels


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if not (HTML / "_static" / "playground" / "playground.js").is_file():
        pytest.skip("the book is not built: `make book` builds it")


@pytest.mark.few(2)
@pytest.mark.slow
@pytest.mark.parametrize("small", [True, False], ids=["before the runtime", "in the runtime"])
@pytest.mark.parametrize("scene", STILL, ids=lambda scene: scene.id)
def test_every_subset_answers_as_pytorch(visit: Visit, tmp_path: Path, scene: Any, small: bool) -> None:
    tab = shown(visit, folder=without(tmp_path, RUNTIME) if small else HTML)
    changed(tab.page, {"scene": scene.id})
    if not small:
        in_runtime(tab.page)
    image, model = scene.draw().image, dmnet.load_pretrained(scene.world)
    x = evaluation_image(scene.world, image)
    for gates in SUBSETS:
        found = changed(tab.page, {"scene": scene.id, "gates": list(gates)})
        expected = look_inside(model, x, gates).logits.numpy()
        difference = np.abs(np.array(found["logits"]).reshape(expected.shape) - expected).max()
        assert difference < 1e-3 * np.abs(expected).max(), gates
        assert (np.array(found["labels"]) == dmnet.predict(model, image, gates).ravel()).mean() > 0.9995
    assert small or tab.faults == []


def test_the_runtime_takes_over_and_answers_the_same(visit: Visit) -> None:
    tab = shown(visit)
    state = {"gates": [0.35, 1, 0, 2], "donor": "scale-3"}
    found = changed(tab.page, state)
    assert tab.page.evaluate(SMALL)
    in_runtime(tab.page)
    again = changed(tab.page, state)
    np.testing.assert_allclose(
        found["logits"], again["logits"], atol=1e-4 * np.abs(again["logits"]).max(), rtol=0
    )
    assert found["labels"] == again["labels"]
    assert tab.faults == []


def test_a_telephone_is_live_within_a_megabyte_and_a_half(chromium: Browser) -> None:
    """Over the wire, until the network answers a slider; ONNX Runtime alone would be 3.7."""
    site = Site(HTML, SLIDE, compress=True)
    tab = open_tab(chromium, site, WELCOME, viewport={"width": 390, "height": 844})
    tab.page.wait_for_function("window.fetched", timeout=90_000)
    fetched = tab.page.evaluate("window.fetched")
    assert any(name.endswith("demo_context.onnx.gz") for name, _ in fetched)
    assert sum(size for _, size in fetched) <= 1_500_000, sorted(fetched, key=lambda one: -one[1])[:8]
    assert tab.faults == []
    tab.page.context.close()
    site.close()


def test_lent_filters_answer_as_pytorch(visit: Visit) -> None:
    tab = shown(visit)
    found = changed(tab.page, {"scene": "context-13", "gates": [1, 0.5, 1, 2], "donor": "context-15"})
    model = dmnet.load_pretrained("demo_context")
    pictures = [BY_ID[name].draw().image for name in ("context-13", "context-15")]
    x, donor = (evaluation_image("demo_context", picture) for picture in pictures)
    expected = look_inside(model, x, [1, 0.5, 1, 2], donor=donor).logits.numpy()
    np.testing.assert_allclose(
        np.array(found["logits"]).reshape(expected.shape), expected, atol=1e-3 * np.abs(expected).max()
    )


def test_an_own_picture_answers_as_pytorch(visit: Visit) -> None:
    tab = shown(visit)
    picture = np.random.default_rng(0).integers(0, 256, (100, 137, 3), np.uint8)
    give(tab.page, "mine.png", png(picture))
    expect(tab.page.locator(".hint")).to_contain_text("Your picture. The network that answers, street,")
    tab.page.get_by_label("Scene").select_option("own demo_scale")
    found = changed(tab.page, {"gates": [1, 1, 0, 1]})
    model = dmnet.load_pretrained("demo_scale")
    expected = look_inside(model, evaluation_image(None, picture), [1, 1, 0, 1]).logits
    np.testing.assert_allclose(
        found["logits"], expected.ravel(), atol=1e-3 * float(expected.abs().max()), rtol=0
    )
    wanted = labels_at(expected, (100, 137)).ravel()
    assert (np.array(found["labels"]) == wanted).mean() > 0.999
    assert "own" not in tab.page.url
    assert tab.faults == []  # nothing was sent anywhere


def test_the_first_screen_is_one_gesture(visit: Visit) -> None:
    """From cool to warm: the filter in between turns with the quilt, and with it all names."""
    tab = shown(visit, WELCOME, viewport={"width": 1280, "height": 800})
    page = tab.page
    picture, slider = page.get_by_label("Quilt 1, 128"), page.get_by_role("slider", name="Warm share")
    large, prediction = page.locator(".between canvas"), page.get_by_label("The network's labels")
    for one in (picture, large, prediction, slider, page.get_by_text("Push the slider")):
        expect(one).to_be_in_viewport(ratio=1)
    assert min(one.bounding_box()["width"] for one in (picture, prediction)) >= 300  # type: ignore[index]
    assert page.evaluate("scrollY") == 0
    means, channel = [], CHANNELS["demo_context"]
    expect(page.get_by_label("Show")).to_have_value(str(channel))
    box = slider.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for end in (5, box["width"] - 5):
        page.mouse.move(box["x"] + end, y, steps=5)
        page.wait_for_function(f"{PLACE}.present !== {PLACE}.base && !{PLACE}.asking")
        found = changed(page, {})
        text = page.evaluate(f"{PLACE}.present.picture.pixels.join()")
        pixels = np.array(json.loads(f"[{text}]"), np.uint8)
        seen = evaluation_image("demo_context", pixels.reshape(128, 128, 3))
        inside = look_inside(dmnet.load_pretrained("demo_context"), seen, [1] * 4)
        values = page.evaluate(f"[...{PLACE}.answer.filters[3].values]")
        np.testing.assert_allclose(values, inside.filters[3][channel].ravel(), atol=1e-3)
        means.append(np.mean(values))
        warm, cool = (np.isin(found["labels"], pair).sum() for pair in ((1, 3), (2, 4)))
        assert cool > 9 * warm if end == 5 else warm > 9 * cool
    page.mouse.up()
    assert means[0] > 0.5 > -0.5 > means[1]
    page.keyboard.press("Control+z")  # the whole drag is one change
    assert page.evaluate(f"{PLACE}.state.edits") == []
    for width in (800, 1000, 1199, 1200, 1600):  # it reaches into the margin, and no further
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert tab.faults == []


def in_runtime(page: Page) -> None:
    """Wait until ONNX Runtime computes."""
    page.wait_for_function(f"{SMALL}.then((small) => !small)", timeout=60_000)


def test_the_first_answer_needs_no_network(visit: Visit) -> None:
    """Precomputed answers are shown before the model is there, and are those of the model."""
    tab = shown(visit, live=False)
    before = labels_of(tab.page)
    tab.page.wait_for_function(f"{PLACE}.answer?.logits", timeout=90_000)
    assert (np.array(labels_of(tab.page)) == before).mean() > 0.9995
    assert tab.faults == []


def test_what_is_heavy_waits_for_the_first_answer(visit: Visit) -> None:
    page = shown(visit).page
    heavy = "demo_scale.onnx.gz", "/onnx.js", "ort-wasm-simd-threaded.wasm.gz"
    for one in heavy:
        page.wait_for_function(
            f"performance.getEntriesByType('resource').some(x => x.name.includes('{one}'))"
        )
    loaded = page.evaluate(
        """performance.getEntriesByType("resource").map(x => [x.name, x.startTime, x.responseEnd])"""
    )
    ready = next(end for name, _, end in loaded if "/26.safetensors.gz" in name)
    for one in heavy:
        assert min(start for name, start, _ in loaded if one in name) >= ready
    unused = ("fontawesome.js", "mathjax", "widgets/", "searchindex", "street")
    assert [name for name, _, _ in loaded if any(one in name for one in unused)] == []


def test_one_can_search_from_there(visit: Visit) -> None:
    tab = shown(visit, live=False)
    tab.page.get_by_role("button", name="Search").first.click()
    tab.page.get_by_role("searchbox").fill("reliance")
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("ul.search")).to_contain_text("Scale ablation")
    left = [
        fault for fault in tab.faults if "ERR_ABORTED" not in fault
    ]  # what the page before was fetching yet
    assert left == []


def test_a_switch_changes_the_prediction_and_says_so(visit: Visit) -> None:
    page = shown(visit).page
    expect(summary(page)).to_contain_text("0 % of the pixels differ")
    page.locator(".scale[data-k='7'] .switch").click()
    expect(summary(page)).not_to_contain_text(" 0 % of the pixels differ")
    expect(page.locator(".aloud")).to_contain_text("Off: 7 by 7")
    rubies = page.locator(".classes li", has_text="ruby on warm side").locator(".score")
    expect(rubies).to_have_text("0 %")
    page.get_by_role("button", name="Reset").click()
    expect(summary(page)).to_contain_text("· 0 % of the pixels differ")


def test_where_a_switch_does_little_it_is_said_where_it_does_more(visit: Visit) -> None:
    page = shown(visit, WELCOME).page
    page.get_by_role("slider", name="Warm share").fill("100")
    page.locator(".between .switch").click()
    scene = BY_ID["context-13"].draw()
    score = []
    for gates in ([1, 1, 1, 0], [1, 1, 1, 1]):
        counted = ConfusionMatrix(7)
        counted.update(dmnet.predict(dmnet.load_pretrained("demo_context"), scene.image, gates), scene.mask)
        score.append(f"{100 * np.nanmean(counted.iou()):.0f} %")
    said = f"On a cool quilt it matters more: there, without 7 × 7, mIoU {score[0]}, full network {score[1]}."
    expect(page.locator(".opposite")).to_contain_text(said, timeout=30_000)
    back = re.search(r"slider to (\d+) %", page.locator(".opposite").inner_text())
    assert back
    page.get_by_role("slider", name="Warm share").fill(back[1])
    expect(summary(page)).to_contain_text(f"mIoU {score[0]}, full network {score[1]}")
    expect(page.locator(".opposite")).to_be_empty()


def test_by_keyboard_alone(visit: Visit) -> None:
    page = shown(visit).page
    switch(page, 3).focus()
    page.keyboard.press("Space")
    expect(switch(page, 3)).not_to_be_checked()
    page.keyboard.press("7")
    expect(switch(page, 7)).not_to_be_checked()
    page.keyboard.press("3")
    expect(switch(page, 3)).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("slider", name="Weight of scale 3 by 3")).to_be_focused()
    page.keyboard.press("End")
    page.wait_for_function(f"{PLACE}.state.gates[1] === 2")
    for name in ("Scene", "Show", "Filters of", "Reveal"):
        expect(page.get_by_role("combobox", name=name).first).to_be_visible()


def test_a_thumbnail_is_shown_or_lends_its_filters(visit: Visit) -> None:
    """By click, by keys, and dragged to where it is wanted; warm and cool are said."""
    tab = shown(visit, WELCOME)
    page = tab.page
    thumbs = page.locator(".thumb")
    expect(page.locator(".mark-of[data-kind]")).to_have_count(13)  # once the network is there
    said = {one.split("\n")[0].strip(): one.split("\n")[1] for one in thumbs.all_inner_texts()}
    scenes = [one for one in BY_ID.values() if one.world == "demo_context"]
    warm = {one.title: bool(one.draw().truth["warm_quilt"].mean() > 0.5) for one in scenes}
    assert said == {title: "warm" if is_warm else "cool" for title, is_warm in warm.items()}
    quilt_4 = thumbs.filter(has_text="Quilt 4")
    quilt_4.drag_to(page.locator(".between canvas"))
    expect(page.get_by_label("Filters of")).to_have_value("context-7")
    expect(page.get_by_label("Scene")).to_have_value("context-13")
    expect(page.locator(".between .caption")).to_contain_text("filter of Quilt 4")
    expect(quilt_4).to_contain_text("lends")
    quilt_4.drag_to(page.get_by_label("Quilt 1, 128"))  # onto the picture: it is shown
    expect(page.get_by_label("Scene")).to_have_value("context-7")
    expect(quilt_4).to_have_attribute("aria-current", "true")
    page.keyboard.press("ArrowRight")
    expect(thumbs.filter(has_text="Quilt 5")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Scene")).to_have_value("context-14")
    page.get_by_label("Instead, a click lends").check()
    thumbs.first.click()
    expect(page.get_by_label("Filters of")).to_have_value("context-13")
    thumbs.first.click()  # no longer
    expect(page.get_by_label("Filters of")).to_have_value("")
    expect(page.get_by_label("Scene")).to_have_value("context-14")
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_label("Instead, a click lends")).not_to_be_checked()
    assert tab.faults == []


def test_changes_stay_with_their_scene(visit: Visit) -> None:
    page = shown(visit).page
    changed(page, {"edits": ["remove 3"]})
    page.get_by_label("Scene").select_option("scale-1")
    page.wait_for_function(f"{PLACE}.state.edits.length === 0")
    expect(page.locator(".thumb.edited")).to_have_text(re.compile("Coins 1 "))
    page.locator(".thumb").first.click()
    page.wait_for_function(f"{PLACE}.state.edits.join() === 'remove 3'")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".thumb.edited")).to_have_count(0)


def test_every_canvas_has_words(visit: Visit) -> None:
    page = shown(visit).page
    words = page.locator(".dmnet-app canvas:not([aria-hidden])").evaluate_all(
        "all => all.map((one) => one.ariaLabel)"
    )
    assert len(words) == 13
    assert all(word and len(word) > 15 for word in words)
    assert "ruby on warm side" in words[2]


def at(canvas: Locator, column: float, row: float) -> dict[str, Any]:
    """Return where a pixel or cell of a canvas is, for `hover`, `click` and `tap`."""
    box = canvas.bounding_box()
    size = canvas.evaluate("one => [one.width, one.height]")
    assert box is not None
    (x, y), side = ((column + 0.5) / size[0], (row + 0.5) / size[1]), (box["width"], box["height"])
    return {"position": {"x": x * side[0], "y": y * side[1]}}


def test_pointing_says_what_is_there_and_its_value(visit: Visit) -> None:
    tab = shown(visit)
    page, scene, model = tab.page, BY_ID["scale-26"], dmnet.load_pretrained("demo_scale")
    pointed, image, mask = page.locator(".pointed"), scene.draw().image, scene.draw().mask
    inside = look_inside(model, evaluation_image(scene.world, image), [1, 1, 1, 1])
    chances = upsample(inside.logits[None], mask.shape)[0].softmax(0)
    expect(pointed).to_contain_text("Point at a picture")
    names = WORLDS["demo_scale"].classes.names
    prediction = page.get_by_label("The network's labels")
    for y, x in ((3, 5), *map(tuple, np.argwhere(mask == 1)[[0, -1]])):
        prediction.hover(**at(prediction, x, y))
        label = int(chances[:, y, x].argmax())
        sure = f"{100 * float(chances[label, y, x]):.0f} % sure"
        words = f"Pixel {x}, {y}: the network says {names[label].replace('_', ' ')}, {sure}"
        expect(pointed).to_contain_text(words)
        true = (
            ": true" if mask[y, x] == label else "counts nowhere" if mask[y, x] == 255 else names[mask[y, x]]
        )
        expect(pointed).to_contain_text(true)
    assert page.locator(".mark:visible").count() == 4 + 4  # of the pictures and the responses
    card = page.locator(".scale[data-k='7'] canvas")
    channel = CHANNELS["demo_scale"]
    for canvas, grids, what in (
        (card.first, inside.filters, "Filter of 7 × 7"),
        (card.last, inside.responses, "Response of 7 × 7"),
        (page.locator(".between canvas"), inside.filters, "Filter of 7 × 7"),
    ):
        values = grids[3][channel]
        canvas.hover(**at(canvas, 2, 5))
        where = f"row 6 of {len(values)}, column 3 of {len(values)}"
        number = f"{float(values[5, 2]):.2g}".replace("-", "−")
        expect(pointed).to_have_text(f"{what}, channel {channel + 1}, {where}: {number}.")
    page.locator(".scale[data-k='1'] canvas").first.hover()
    expect(pointed).to_contain_text("one number")
    assert tab.faults == []


def test_a_click_keeps_the_place_and_arrows_move_it(visit: Visit) -> None:
    page = shown(visit).page
    pointed, prediction = page.locator(".pointed"), page.get_by_label("The network's labels")
    y, x = np.argwhere(BY_ID["scale-26"].draw().mask == 1)[40].tolist()
    prediction.click(**at(prediction, x, y))
    page.mouse.move(1, 1)
    expect(pointed).to_contain_text("the network says ruby on warm side")
    x, y = map(int, re.findall(r"\d+", pointed.inner_text())[:2])
    page.locator(".scale[data-k='7'] .switch").click()
    expect(pointed).to_contain_text("the full network said ruby on warm side")
    page.mouse.move(1, 1)
    prediction.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    expect(pointed).to_contain_text(f"Pixel {x - 4}, {y - 1}: ")
    expect(page.locator(".aloud")).to_contain_text(f"Pixel {x - 4}, {y - 1}: ")
    page.keyboard.press("Escape")
    expect(pointed).to_contain_text("Point at a picture")
    expect(page.locator(".mark:visible")).to_have_count(0)


def test_the_colours_are_explained_where_they_are(visit: Visit) -> None:
    page = shown(visit).page
    names = [one.replace("_", " ") for one in WORLDS["demo_scale"].classes.names]
    legend = page.get_by_role("list", name="What the colours mean").get_by_role("listitem")
    said = legend.all_inner_texts()
    assert {*said} <= {*names, "void: counts nowhere"}
    assert len(said) > 4
    expect(page.locator(".key")).to_contain_text("white is 0")
    scene = BY_ID["scale-26"]
    inside = look_inside(
        dmnet.load_pretrained(scene.world), evaluation_image(scene.world, scene.draw().image), [1] * 4
    )
    captions, channel = page.locator(".scale .caption").all_inner_texts(), CHANNELS["demo_scale"]
    for i, (filters, responses) in enumerate(zip(inside.filters, inside.responses, strict=True)):
        for caption, grid in zip(
            captions[2 * i : 2 * i + 2], (filters[channel], responses[channel]), strict=True
        ):
            largest = float(grid.flatten()[grid.abs().argmax()])
            assert float(caption.split()[1].replace("−", "-")) == pytest.approx(largest, rel=0.06)


def test_one_answer_is_held_beside_another(visit: Visit) -> None:
    tab = shown(visit)
    page = tab.page
    swap = page.get_by_role("button", name="A ⇄ B")
    expect(swap).to_be_hidden()
    full = labels_of(page)
    changed(page, {"gates": [1, 1, 1, 0]})
    page.get_by_role("button", name="Hold as A").click()
    less = labels_of(page)
    expect(page.get_by_text("A: Coins 1, 7 × 7 off")).to_be_in_viewport()
    expect(page.get_by_text("A is the last picture above")).to_be_visible()
    expect(summary(page)).to_contain_text("· 0 % of the pixels differ from A")
    changed(page, {"gates": [1, 1, 1, 1]})
    share = np.mean(np.array(full) != less)
    expect(summary(page)).to_contain_text(f"{100 * share:.1f} % of the pixels differ from A")
    swap.click()
    await_labels(page, less)
    expect(switch(page, 7)).not_to_be_checked()
    expect(page.locator(".changed .caption")).to_have_text("A: Coins 1")
    changed(page, {"scene": "context-13"})  # another network: A cannot be compared, and comes back
    expect(page.locator(".changed .caption")).to_have_text("changed (grey: not)")
    swap.click()
    await_labels(page, full)
    page.get_by_role("button", name="Let A go").click()
    expect(summary(page)).to_contain_text("differ from the full network")
    expect(swap).to_be_hidden()
    assert tab.faults == []


def test_which_scale_matters(visit: Visit) -> None:
    page = shown(visit).page
    page.get_by_text("Which scale matters here?").click()
    expect(page.locator(".drop")).to_have_count(4)
    expect(page.locator(".drop").nth(3).locator(".score").first).to_contain_text("−")
    for bar in page.locator(".drop .line").all():  # always by the same scale: a full one is 50 points
        lost = float(bar.locator(".score").inner_text().replace("−", "").replace("+", "-"))
        length = bar.locator(".fill").evaluate("one => one.offsetWidth / one.parentElement.offsetWidth")
        assert length == pytest.approx(min(max(lost / 50, 0), 1), abs=0.03)
    row = page.locator(".statistics tr", has_text="rubies")
    expect(row.locator("td.best")).to_have_text("10/10")
    changed(page, {"gates": [1, 1, 1, 0]})  # it follows what is shown
    expect(page.locator(".reasons p").first).to_contain_text("of Coins 1, 7 × 7 off:")
    expect(page.locator(".drop").nth(3).locator(".score").first).to_have_text("0")
    expect(page.locator(".reasons")).not_to_contain_text("No scale matters")
    changed(page, {"gates": [0, 0, 0, 0]})  # there is none to be switched off
    expect(page.locator(".reasons")).to_contain_text("No scale matters much here.")
    page.get_by_label("Reveal").select_option(label="rubies: which side?")
    expect(page.locator(".picture .caption")).to_have_text(
        re.compile("red is warm, blue cool; the answer changes at")
    )
    page.get_by_label("Reveal").select_option(label="nothing")
    expect(page.locator(".picture .caption")).to_have_text("picture")


def test_a_shared_address_brings_it_all_back(visit: Visit) -> None:
    page = shown(visit).page
    changed(
        page, {"scene": "scale-7", "gates": [1, 0, 0.55, 2], "donor": "scale-1", "channel": 4, "reveal": 1}
    )
    page.wait_for_url("**#play&scene=scale-7&gates=1,0,0.55,2&*")  # once the reader pauses
    address = page.url
    labels = labels_of(page)
    page.get_by_label("The network's labels").press("ArrowLeft")  # a pixel that is kept
    page.wait_for_url(f"{address}&pixel=76,80")
    page.reload()
    page.wait_for_function(f"{PLACE}?.answer?.logits", timeout=90_000)
    assert page.url == f"{address}&pixel=76,80"
    expect(page.locator(".pointed")).to_contain_text("Pixel 76, 80: ")
    expect(page.locator(".why")).to_be_visible()
    page.get_by_label("The network's labels").press("Escape")
    page.wait_for_url(address)
    assert labels_of(page) == labels
    expect(switch(page, 3)).not_to_be_checked()
    expect(page.get_by_label("Filters of")).to_have_value("scale-1")
    expect(page.get_by_label("Reveal")).to_have_value("1")


REFUSED = {
    "notes.txt": (b"words", "“notes.txt” is not a picture"),
    "cut.png": (png(np.zeros((50, 50, 3), np.uint8))[:60], "“cut.png” cannot be opened"),
    "page.png": (b"<html>", "“page.png” cannot be opened"),
    "bomb.png": (BOMB, "32768 × 32768 pixels"),
    "long.png": (bytes(41_000_000), "41 MB; at most 40"),
}


def test_a_file_that_cannot_be_shown(visit: Visit, tmp_path: Path) -> None:
    tab = shown(visit, live=False)
    for name, (content, message) in REFUSED.items():
        (tmp_path / name).write_bytes(content)
        tab.page.locator("input[type=file]").set_input_files(tmp_path / name)
        expect(tab.page.get_by_role("alert").filter(has_text=message)).to_be_in_viewport()
        tab.page.locator(".scale[data-k='7'] .switch").click()  # and nothing else breaks
        expect(summary(tab.page)).not_to_contain_text("· 0 % of the pixels differ")
        tab.page.locator(".scale[data-k='7'] .switch").click()
        expect(summary(tab.page)).to_contain_text("· 0 % of the pixels differ")
    assert tab.faults == []


def without(tmp_path: Path, missing: str) -> Path:
    """Return a copy of what the welcome page needs, without one file."""
    for part in ("book", "_static", "_images", "_sphinx_design_static"):
        if (HTML / part).is_dir():
            shutil.copytree(HTML / part, tmp_path / part)
    (tmp_path / missing).unlink()
    return tmp_path


def test_without_the_runtime_a_slider_is_still_answered(visit: Visit, tmp_path: Path) -> None:
    page = shown(visit, folder=without(tmp_path, RUNTIME)).page
    page.wait_for_event("console", lambda message: "without ONNX Runtime" in message.text)
    page.get_by_role("slider", name="Weight of scale 1 by 1").fill("0.5")
    expect(summary(page)).to_contain_text("of the pixels differ")
    found = changed(page, {})
    x = evaluation_image("demo_scale", BY_ID["scale-26"].draw().image)
    expected = look_inside(dmnet.load_pretrained("demo_scale"), x, [0.5, 1, 1, 1]).logits.ravel()
    np.testing.assert_allclose(found["logits"], expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize("missing", ["demo_scale.onnx.gz", "onnx.js"])
def test_without_the_network_the_switches_still_answer(visit: Visit, tmp_path: Path, missing: str) -> None:
    page = shown(visit, live=False, folder=without(tmp_path, f"_static/playground/{missing}")).page
    expect(page.locator(".engine")).to_contain_text("cannot run here", timeout=60_000)
    page.locator(".scale[data-k='7'] .switch").click()
    rubies = page.locator(".classes li", has_text="ruby on warm side").locator(".score")
    expect(rubies).to_have_text("0 %")
    page.get_by_role("slider", name="Weight of scale 1 by 1").fill("0.5")
    expect(summary(page)).to_contain_text("needs the network")


def test_without_scripts_there_are_pictures(visit: Visit) -> None:
    tab = visit(WELCOME, java_script_enabled=False)
    pictures = tab.page.locator(".dmnet-still img")
    expect(pictures).to_have_count(51)
    expect(pictures.first).to_be_visible()
    assert [fault for fault in tab.faults if not fault.endswith(" csp")] == []  # the scripts, not run


def test_from_the_disk_there_are_pictures_and_a_way_to_more(chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto((HTML / WELCOME).as_uri())
    expect(page.locator(".dmnet-still img")).to_have_count(51)
    expect(page.locator(".dmnet-still img").first).to_be_visible()
    expect(page.locator(".dmnet-still")).to_contain_text("make serve brings it alive")
    expect(page.locator(".dmnet-playground")).to_be_hidden()
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_telephone(visit: Visit, theme: Any) -> None:
    viewport = {"width": 360, "height": 740}
    options = {"viewport": viewport, "color_scheme": theme, "has_touch": True, "reduced_motion": "reduce"}
    page = shown(visit, **options).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_text("Which scale matters here?").tap()
    outside = page.locator(".dmnet-app *").evaluate_all(
        """all => all.filter(one => one.getBoundingClientRect().right > 361 && !one.closest("table, .thumbs"))
            .map(one => one.className)"""
    )
    assert outside == []
    page.locator(".scale[data-k='7'] .switch").tap()
    expect(switch(page, 7)).not_to_be_checked()
    moving = page.locator(".switch .track").first.evaluate("one => getComputedStyle(one).transitionDuration")
    assert moving == "0s"


def test_the_chapter_has_one_too(visit: Visit) -> None:
    tab = shown(visit, "book/09_ablation.html")
    expect(tab.page.get_by_label("Scene")).to_have_value("scale-1")
    assert tab.faults == []


def test_pages_without_a_playground_do_not_load_it() -> None:
    text = (HTML / "book" / "notation.html").read_text(encoding="utf8")
    assert re.search(r"playground\.(js|css)", text) is None


WIDGET = """async ([script, state]) => {
    const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const letters = (view) => Array.from(new Uint8Array(view.buffer), (one) => String.fromCharCode(one));
    const text = (view) => btoa(letters(view).join(""));
    const listeners = {};
    const model = {
        get: (name) => state[name],
        set: (changes) => Object.assign(state, changes),
        save_changes: () => (window.saved = structuredClone(state)),
        on: (names, act) => names.split(" ").forEach((name) => (listeners[name] ??= []).push(act)),
        off: () => {},
        send: async (content, _, buffers = []) => {
            const reply = await window.ask(content, buffers.map(text));
            const views = reply.buffers.map((one) => new DataView(bytes(one).buffer));
            listeners["msg:custom"].forEach((act) => act(reply.content, views));
        },
    };
    window.tell = (name, value) => {
        state[name] = value;
        listeners[`change:${name}`].forEach((act) => act());
    };
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    (await import(url)).default.render({ model, el: document.querySelector("main") });
}"""


def test_as_a_widget(visit: Visit, tmp_path: Path) -> None:
    """What JupyterLab does, without JupyterLab: a blob module, a model with traits, messages with buffers."""
    (tmp_path / "page.html").write_text("<link rel=icon href=data:><main></main>")
    tab = visit("page.html", folder=tmp_path)
    desk = Desk(dmnet.load_pretrained("demo_scale"), None, None)

    def ask(content: Any, buffers: list[str]) -> dict[str, Any]:
        answer, attached = desk.reply(content, [base64.b64decode(one) for one in buffers])
        return {"content": answer, "buffers": [base64.b64encode(one).decode() for one in attached]}

    tab.page.expose_function("ask", ask)
    state = {
        "scene": "scale-26",
        "scale_gates": [1] * 4,
        "channel": -1,
        "donor": "",
        "reveal": -1,
        "edits": [],
    }
    tab.page.evaluate(WIDGET, [bundle.script(), state])
    expect(tab.page.locator(".engine")).to_contain_text("in the kernel", timeout=30_000)
    expect(summary(tab.page)).to_contain_text("· 0 % of the pixels differ", timeout=30_000)
    tab.page.locator(".scale .switch", has_text="7 × 7").click()  # the reader; the kernel hears of it
    tab.page.wait_for_function("window.saved?.scale_gates[3] === 0")
    expect(summary(tab.page)).not_to_contain_text("· 0 % of the pixels differ")
    tab.page.evaluate("window.tell('scale_gates', [1, 0, 1, 1])")  # a cell; the page shows it
    expect(switch(tab.page, 3)).not_to_be_checked()
    expect(switch(tab.page, 7)).to_be_checked()
    assert tab.faults == []
