"""The book in Firefox and in WebKit, the engine of Safari: what Chromium's tests hold, the chief of it again.

Neither is needed: where one is missing, its tests are skipped. Debian has both (`tools/find_browser.py`).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import find_browser
import numpy as np
import pytest
from browser import DEAD_WIDGETS, Site, live_figures
from playground_page import PLACE, WELCOME, png
from webdriver import RECORDER, Remote, start

import dmnet
from dmnet.analysis.inside import gated_logits, look_inside
from dmnet.playground.catalogue import STILL, SUBSETS, PlayScene
from dmnet.transforms import evaluation_image

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
LIVE = f"document.querySelector('[data-dmnet-playground]') && {PLACE}?.answer?.logits"
SUMMARY = "document.querySelector('.dmnet-app .summary').textContent"
ANSWERS = f"""
    const [playground, answers] = [{PLACE}, []];
    await playground.set({{ scene: values[0] }});
    await playground.engine();
    for (const gates of values[1]) {{
        await playground.set({{ gates }});
        answers.push([...playground.answer.logits]);
    }}
    return JSON.stringify(answers);
"""
ALIVE = live_figures()
# Moves each control of a live figure, but for fields that a finger alone opens, and tells which kinds of
# them changed what is seen.
TOUCH = """
    const figure = document.querySelector(`section.live.${values[0]}`);
    const rest = () => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
    const canvases = () => [...figure.querySelectorAll("canvas")].map((one) => one.toDataURL());
    const look = () => figure.innerText + canvases();
    const kinds = {};
    for (const control of figure.querySelectorAll("input:not(.scrub), button")) {
        const { type, disabled, checked, value, min, max } = control;
        kinds[type] ??= false;
        if (!control.checkVisibility() || disabled || kinds[type] || (type === "radio" && checked)) continue;
        const before = look();
        if (type === "range") {
            control.value = value === max ? min : max;
            for (const name of ["input", "change"]) control.dispatchEvent(new Event(name, { bubbles: true }));
        } else control.click();
        await rest();
        kinds[type] = look() !== before;
    }
    return JSON.stringify(kinds);
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=list(find_browser.OTHERS))
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """A browser, with the built book on a server of its own."""
    found, packages = find_browser.OTHERS[request.param]
    if not (HTML / WELCOME).is_file():
        pytest.skip("the book is not built: `make book` builds it")
    if not found():
        pytest.skip(f"there is no {request.param} (Debian: apt install {' '.join(packages)})")
    site = Site(HTML, RECORDER)
    with start(request.param, tmp_path_factory.mktemp(request.param), site) as remote:
        yield remote
    site.close()


@pytest.fixture
def live(browser: Remote) -> Remote:
    """The welcome page, its network live, all as at the start; it is loaded when another page was open."""
    browser.site.faults.clear()
    if not browser.script(f"return Boolean({LIVE})"):
        browser.visit("about:blank")  # so that the next visit is one, whatever the fragment
        browser.visit(f"{browser.site.address}/{WELCOME}")
        browser.wait(LIVE, 60)
    browser.script(f"spoken.length = 0; await {PLACE}.set({{ scene: 'scale-26' }}); await {PLACE}.reset()")
    return browser


def test_the_search_finds_under_its_policy(browser: Remote) -> None:
    browser.site.faults.clear()
    browser.visit(f"{browser.site.address}/search.html?q=dynamic+filter")
    browser.wait("document.querySelectorAll('#search-results p.context').length > 5", 60)
    assert browser.faults() == []


@pytest.mark.few(2)
@pytest.mark.parametrize("scene", STILL, ids=lambda scene: scene.id)
def test_every_subset_answers_as_pytorch(live: Remote, scene: PlayScene) -> None:
    model, image = dmnet.load_pretrained(scene.world), scene.draw().image
    inside = look_inside(model, evaluation_image(scene.world, image), (1, 1, 1, 1))
    expected = gated_logits(model, SUBSETS, inside.features, inside.responses)
    hold(json.loads(live.script(ANSWERS, scene.id, SUBSETS)), expected)
    assert live.faults() == []


def hold(found: Any, expected: Any) -> None:
    """Assert that logits are those of PyTorch."""
    limit = 1e-3 * float(expected.abs().max())
    np.testing.assert_allclose(np.ravel(found), expected.ravel(), rtol=0, atol=limit)


def test_by_mouse_and_by_keyboard(live: Remote) -> None:
    assert "· 0 % of the pixels differ" in live.script(f"return {SUMMARY}")
    live.click(".scale[data-k='7'] .switch")
    live.wait(f"!{SUMMARY}.includes('· 0 %')")
    live.press("7")
    live.wait(f"{SUMMARY}.includes('· 0 %')")
    live.press("Tab", "End")
    live.wait(f"{PLACE}.state.gates[3] === 2")
    live.wait("document.querySelector('.aloud').textContent.startsWith('All scales on')")
    assert live.faults() == []


def test_an_own_picture(live: Remote, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (60, 77, 3), np.uint8)
    (tmp_path / "mine.png").write_bytes(png(picture))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    live.type("input[type=file]", str(tmp_path / "broken.png"))
    live.wait(
        "document.querySelector('.dmnet-app .message').textContent.includes('“broken.png” cannot be opened')"
    )
    live.type("input[type=file]", str(tmp_path / "mine.png"))
    live.wait(f"{PLACE}.state.scene === 'own'")
    live.script(f"await {PLACE}.choose('own demo_scale')")
    live.wait(f"{PLACE}.present?.picture.width === 77 && !{PLACE}.asking")
    found = live.script(f"await {PLACE}.refresh(); return [...{PLACE}.answer.logits]")
    hold(
        found,
        look_inside(dmnet.load_pretrained("demo_scale"), evaluation_image(None, picture), [1] * 4).logits,
    )
    assert live.faults() == []  # nothing was sent anywhere


def test_a_changed_scene(live: Remote) -> None:
    edits = ["exchange warm", "size 1 -1", "move 1 64 39"]
    state = {"scene": "context-13", "edits": edits}
    live.script(f"await {PLACE}.set(values[0]); await {PLACE}.engine(); await {PLACE}.refresh();", state)
    live.wait(f"{SUMMARY}.includes('differ from before')")
    pixels, logits = json.loads(
        live.script(
            f"return JSON.stringify([[...{PLACE}.present.picture.pixels], [...{PLACE}.answer.logits]])"
        )
    )
    picture = np.array(pixels, np.uint8).reshape(128, 128, 3)
    assert (picture != PlayScene("demo_context", 13).draw().image).any(-1).mean() > 0.3
    x = evaluation_image("demo_context", picture)
    hold(logits, look_inside(dmnet.load_pretrained("demo_context"), x, [1] * 4).logits)
    live.click("button[title^='Move, add']")
    live.wait(
        "!document.querySelector('.bench').closest('[hidden]')"
        " && document.querySelector('.stage .frame canvas')"
    )
    live.script("document.querySelector('.stage .frame canvas').focus()")
    live.script(f"{PLACE}.view.editor.choose(2)")
    live.press("ArrowRight")
    live.wait(f"{PLACE}.state.edits.at(-1).startsWith('move 2 ')")
    live.wait("location.hash.includes('edits=exchange+warm')")
    assert live.faults() == []


def test_a_guess_in_the_tour(live: Remote) -> None:
    """Guessed, done where the tour points, told; and kept for the next visit."""
    live.script("localStorage.clear()")
    live.click("button[title^='Five steps']")
    live.wait("document.querySelectorAll('.tour .guesses button').length === 4")
    live.click(".tour .guesses button")
    guess = live.script("return document.querySelector('.tour .guesses button').textContent")
    live.wait("document.querySelector('.here')?.checkVisibility()")
    live.click(".here")
    outcome = "document.querySelector('.tour .outcome').textContent"
    live.wait(f"{outcome}.includes({json.dumps(guess)}) && {outcome}.includes('rubies')")
    assert live.script("return localStorage.getItem('dmnet-guesses')").count(guess) == 1
    live.click(".tour button[title^='Leave']")
    live.wait("!document.querySelector('.tour')?.checkVisibility()")
    assert live.faults() == []


def test_a_drawing(live: Remote) -> None:
    """A stamp on the empty ground is an object of the scene, and the network says what it is."""
    live.click("button[title^='A scene of your own']")
    live.wait(f"{PLACE}.view.editor.composed?.arrangement.placed.length === 0")
    live.click(".stage .frame canvas")
    live.wait("document.querySelector('.names').textContent.startsWith('The network names ')")
    emptied, added = live.script(f"return {PLACE}.state.edits")
    assert (emptied, added[:9]) == ("remove all", "add ruby ")
    picture, answer = f"{PLACE}.present.picture", f"{PLACE}.answer.logits"
    (height, width), pixels, logits = json.loads(
        live.script(
            f"await {PLACE}.refresh(); const {{ height, width, pixels }} = {picture};"
            f"return JSON.stringify([[height, width], [...pixels], [...{answer}]])"
        )
    )
    x = evaluation_image("demo_scale", np.array(pixels, np.uint8).reshape(height, width, 3))
    hold(logits, look_inside(dmnet.load_pretrained("demo_scale"), x, [1] * 4).logits)
    live.click("button[title^='Close the workbench']")
    assert live.faults() == []


@pytest.mark.few(2)  # a page in each browser
@pytest.mark.parametrize("page", ["03_dynamic_filters", "07_evaluation"])
def test_formulas_and_widgets(browser: Remote, page: str) -> None:
    browser.site.faults.clear()
    browser.visit(f"{browser.site.address}/book/{page}.html")
    browser.script("await window.MathJax?.startup?.promise")
    browser.wait(f"({DEAD_WIDGETS})().length === 0", 60)
    formulas = "document.querySelectorAll('article .math')"
    broken = f"[...{formulas}].filter((one) => !one.querySelector('mjx-container')).length"
    assert browser.script(f"return {formulas}.length") > 5
    assert browser.script(f"return {broken} + document.querySelectorAll('mjx-merror').length") == 0
    assert browser.faults() == []


@pytest.mark.few(2)  # every second page in the one browser, the rest in the other
@pytest.mark.parametrize("first", [0, 1])
def test_live_figures_answer(browser: Remote, first: int) -> None:
    """Every kind of control that a figure has changes what is seen."""
    browser.site.faults.clear()
    for page in list(ALIVE)[first::2]:
        browser.visit(f"{browser.site.address}/book/{page}.html")
        for name in ALIVE[page]:
            place = f"document.querySelector('[data-dmnet-live={name}]')"
            browser.script(f"{place}.scrollIntoView({{ block: 'center' }})")
            browser.wait(f"{place}.live", 60)
            kinds = json.loads(browser.script(TOUCH, name))
            assert kinds and all(kinds.values()), (name, kinds)
        assert browser.faults() == [], page


def test_on_a_telephone(live: Remote) -> None:
    """In a frame: windows cannot be as narrow."""
    width, spoken = live.script("""
        const frame = document.createElement("iframe");
        Object.assign(frame, { src: location.pathname, width: 360, height: 740 });
        document.body.append(frame);
        const inside = () => frame.contentDocument?.querySelector(".dmnet-app .summary")?.textContent;
        while (!inside()) await new Promise((go) => setTimeout(go, 100));
        const { scrollWidth } = frame.contentDocument.documentElement;
        const { spoken } = frame.contentWindow;
        frame.remove();
        return [scrollWidth, [...spoken]];
    """)
    assert 300 < width <= 360
    assert spoken == []


def test_what_goes_wrong_is_seen(live: Remote) -> None:
    assert live.faults() == []
    words = "console.error('bad'); setTimeout(() => { throw new Error('thrown'); })"
    live.script(
        "const src = URL.createObjectURL(new Blob([values[0]], { type: 'text/javascript' }));"
        "document.head.append(Object.assign(document.createElement('script'), { src }))",
        words,
    )
    live.wait("window.spoken.length === 2")
    live.script("await fetch('missing.js')")
    bad, thrown, missing = live.faults()
    assert (bad, missing) == ("bad", "404 /book/missing.js")
    assert "thrown" in thrown
