"""The playground as its readers meet it: a notebook in a real JupyterLab, a real kernel, a real browser.

One server serves all tests of this file. Whatever a test runs is typed into a cell, as a reader would.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Site, Tab, open_tab
from playground_page import changed, give, png, switch
from playwright.sync_api import Browser, Locator, Page, expect
from torch import Tensor

import dmnet
from dmnet.analysis.inside import gated_logits, look_inside
from dmnet.inference import labels_at
from dmnet.playground.catalogue import STILL, SUBSETS
from dmnet.playground.kernel import REMEMBERED
from dmnet.transforms import evaluation_image

TOKEN = "of-the-tests"
VIEWPORT: Any = {"width": 1280, "height": 900}
# No news, no updates, no extensions to fetch: nothing leaves this machine.
OPTIONS = (
    "--no-browser", "--allow-root", "--ip=127.0.0.1", "--ServerApp.port_retries=0",
    "--ServerApp.terminals_enabled=False", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly",
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
)  # fmt: skip
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
# What JupyterLab itself says when all is well, and when a test ends the kernel.
HARMLESS = re.compile(
    r"^Starting application in workspace: |^Starting WebSocket: ws://127\.0\.0\.1:"
    r"|^Disabling terminals plugin because they are not available on the server$"
    r"|^Kernel: (restarting|autorestarting|starting) \(|^Connection lost, reconnecting in 0 seconds\.$"
    r"|^Keeping old LSP connection as the new kernel uses the same language$"
    r"|^Could not send widget sync message Error: Cannot send\n"
)
SHOW = """
from dmnet.playground import Playground
playground = Playground()
playground
"""
APP = "document.querySelector('.dmnet-app').parentElement.playground"
# The answers to settings of the gates, one after the other; as text, which Playwright passes on much quicker.
ANSWERS = f"""async (settings) => {{
    const [playground, answers] = [{APP}, []];
    for (const gates of settings) {{
        await playground.set({{ gates }});
        const {{ logits, labels }} = playground.answer;
        answers.push({{ logits: [...logits], labels: [...labels] }});
    }}
    return JSON.stringify(answers);
}}"""

pytestmark = pytest.mark.slow  # a server, a page, three kernels


@pytest.fixture(autouse=True, scope="module")
def patience() -> Iterator[None]:
    """On a busy machine a kernel takes its time to start."""
    expect.set_options(timeout=180_000)
    yield
    expect.set_options(timeout=5_000)  # Playwright's own


@dataclass
class Lab:
    """A running JupyterLab."""

    folder: Path
    address: str = ""
    process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the server, with no settings but ours, and wait until it answers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        for name, values in SETTINGS.items():
            file = self.folder / "config" / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        notebooks = self.folder / "notebooks"
        notebooks.mkdir()
        command = [sys.executable, "-m", "jupyterlab", *OPTIONS, f"--port={port}"]
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*command, f"--ServerApp.root_dir={notebooks}"],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not self.answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                pytest.fail(f"JupyterLab does not start:\n{(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.1)

    def environment(self) -> dict[str, str]:
        """Return the environment of server and kernels: the user's own settings play no part."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
        own = {
            f"JUPYTER_{name.upper()}_DIR": str(self.folder / name) for name in ("config", "data", "runtime")
        }
        one_thread = {"OMP_NUM_THREADS": "1"}  # as in conftest.py
        return {
            **kept,
            **own,
            **one_thread,
            "IPYTHONDIR": str(self.folder / "ipython"),
            "JUPYTER_TOKEN": TOKEN,
        }

    def answers(self) -> bool:
        request = urllib.request.Request(
            f"{self.address}/api/status", headers={"Authorization": f"token {TOKEN}"}
        )
        try:
            return urllib.request.urlopen(request, timeout=20).status == 200
        except OSError:
            return False

    def stop(self) -> None:
        """End the server and its kernels: by asking, and then by force."""
        if self.process is None:
            return
        self.process.terminate()  # it ends its kernels, which have process groups of their own
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # the kernels see that, and end themselves
            self.process.wait()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab server on loopback."""
    server = Lab(tmp_path_factory.mktemp("lab"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def cell(source: str, number: int) -> dict[str, Any]:
    code = {"cell_type": "code", "execution_count": None, "outputs": [], "metadata": {}}
    return {**code, "id": f"cell-{number}", "source": source.strip()}


@dataclass
class Notebook:
    """A notebook, open in JupyterLab."""

    tab: Tab
    cells: int

    @property
    def page(self) -> Page:
        return self.tab.page

    def run_first(self) -> None:
        """Press Shift+Enter in the first cell."""
        self.page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        self.page.keyboard.press("Shift+Enter")

    def type(self, source: str) -> Locator:
        """Type code into the last cell and press Shift+Enter, which makes another one; return the cell."""
        last = self.page.locator(".jp-Notebook .jp-CodeCell").nth(self.cells - 1)
        last.locator(".cm-content").click()
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Shift+Enter")
        self.cells += 1
        return last

    def run(self, source: str) -> str:
        """Run code in the last cell; return what it prints."""
        last = self.type(source)
        expect(last.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"))
        return "\n".join(last.locator(".jp-OutputArea-output").all_inner_texts()).strip()

    def app(self, number: int = 0) -> Locator:
        """Return one of the playgrounds that the notebook shows."""
        return self.page.locator(".dmnet-app").nth(number)

    def unchanged(self, number: int = 0) -> None:
        """Wait until a playground answers as the full network does."""
        text = re.compile(r"(^|· )0 % of the pixels differ")
        expect(self.app(number).locator(".summary")).to_have_text(text)

    def changed(self, number: int = 0) -> None:
        """Wait until a playground answers in another way."""
        text = re.compile(r"(^|· )[1-9][\d.]* % of the pixels differ")
        expect(self.app(number).locator(".summary")).to_have_text(text)

    def choose(self, menu: str, *entries: str) -> None:
        """Choose from a menu, and confirm where JupyterLab asks."""
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        for entry in entries:
            self.page.locator(".lm-Menu-item").filter(has_text=re.compile(f"^{entry}")).first.click()
        if entries[-1].endswith("…"):
            self.confirm()

    def confirm(self) -> None:
        self.page.locator(".jp-Dialog button.jp-mod-accept").click()


Open = Callable[..., Notebook]


@pytest.fixture(scope="module")
def open_notebook(lab: Lab, chromium: Browser) -> Iterator[Open]:
    """Write a notebook and open it, `open_notebook("play", "1 + 1")`; wait until its kernel can be used."""
    site = Site(lab.folder / "notebooks")  # the proxy that sees requests to other hosts
    opened: list[Notebook] = []

    def open_it(name: str, *sources: str, **options: Any) -> Notebook:
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        cells = [cell(source, number) for number, source in enumerate([*sources, ""])]
        content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        (lab.folder / "notebooks" / f"{name}.ipynb").write_text(json.dumps(content))
        options = {"viewport": VIEWPORT, "harmless": HARMLESS, **options}
        address = f"{lab.address}/lab/workspaces/{name}/tree/{name}.ipynb?token={TOKEN}"
        tab = open_tab(chromium, site, address, **options)
        opened.append(Notebook(tab, len(cells)))
        expect(tab.page.locator(".jp-StatusBar-Widget")).to_contain_text("| Idle")
        return opened[-1]

    yield open_it
    for notebook in opened:
        notebook.page.context.close()
    site.close()


@pytest.fixture(scope="module")
def played(open_notebook: Open) -> Notebook:
    """A notebook that shows the playground; the tests share it, since a kernel takes seconds to start."""
    notebook = open_notebook("play", SHOW)
    notebook.run_first()
    notebook.unchanged()
    return notebook


@pytest.fixture
def notebook(played: Notebook) -> Notebook:
    """The shared notebook, its playground as at the start."""
    played.run("playground.scene = 'scale-26'")
    played.app().get_by_role("button", name="Reset").click()
    played.unchanged()
    played.tab.seen.clear()
    return played


def test_it_says_where_the_network_runs(notebook: Notebook) -> None:
    expect(notebook.app().locator(".engine")).to_have_text("Live: the network demo_scale runs in the kernel.")
    assert notebook.tab.faults == []


@pytest.mark.few(1)
@pytest.mark.parametrize("scene", STILL, ids=lambda scene: scene.id)
def test_every_subset_answers_as_pytorch(notebook: Notebook, scene: Any) -> None:
    model, image = dmnet.load_pretrained(scene.world), scene.draw().image
    inside = look_inside(model, evaluation_image(scene.world, image), (1, 1, 1, 1))
    expected = gated_logits(model, SUBSETS, inside.features, inside.responses)
    hold(changed(notebook.page, {"scene": scene.id}, APP), inside.logits, image.shape[:2])
    answers = json.loads(notebook.page.evaluate(ANSWERS, SUBSETS))
    for found, logits in zip(answers, expected, strict=True):
        hold(found, logits, image.shape[:2])
    assert notebook.tab.faults == []


def hold(found: dict[str, Any], logits: Tensor, size: tuple[int, int]) -> None:
    """Assert that what the page shows is what PyTorch says."""
    np.testing.assert_allclose(found["logits"], logits.ravel(), rtol=0, atol=1e-3 * float(logits.abs().max()))
    assert (np.array(found["labels"]) == labels_at(logits, size).ravel()).mean() > 0.9995


def test_a_cell_moves_the_switches(notebook: Notebook) -> None:
    notebook.run("playground.scale_gates = [1, 0, 1, 1]")
    expect(switch(notebook.app(), 3)).not_to_be_checked()
    expect(switch(notebook.app(), 5)).to_be_checked()
    notebook.changed()


def test_a_switch_is_heard_by_a_cell(notebook: Notebook) -> None:
    notebook.run("heard = []; playground.observe(lambda change: heard.append(change.new), 'scale_gates')")
    notebook.app().locator(".scale[data-k='7'] .switch").click()
    notebook.changed()
    assert notebook.run("print(heard)") == "[[1.0, 1.0, 1.0, 0.0]]"
    assert notebook.run("print(playground.scale_gates)") == "[1.0, 1.0, 1.0, 0.0]"


def test_a_slider_that_is_dragged_ends_where_it_was_left(notebook: Notebook) -> None:
    """What the kernel sends back of earlier places must not move it."""
    slider = notebook.app().get_by_role("slider", name="Weight of scale 5 by 5")
    slider.evaluate("""async (slider) => {
        for (let value = 1; value > 0.3; value -= 0.05) {
            slider.value = value;
            slider.dispatchEvent(new Event("input"));
            await new Promise((go) => setTimeout(go, 30));
        }
    }""")
    for _ in range(20):  # while one change is under way the next ones wait
        heard = notebook.run("print(playground.scale_gates)")
        if heard == "[1.0, 1.0, 0.35, 1.0]":
            break
    assert heard == "[1.0, 1.0, 0.35, 1.0]"
    assert notebook.page.evaluate(f"{APP}.state.gates") == [1, 1, 0.35, 1]
    expect(slider).to_have_value("0.35")


def test_a_cell_changes_the_scene_and_hears_what_the_reader_changes(notebook: Notebook) -> None:
    notebook.run("playground.scene = 'context-13'; playground.edits = ['exchange warm']")
    expect(notebook.app().locator(".summary")).to_contain_text("from before")
    notebook.app().get_by_role("button", name="Change …").click()
    notebook.app().get_by_label("Chosen object").select_option("1")
    canvas = notebook.app().locator(".stage .frame canvas")
    canvas.focus()
    for step in range(REMEMBERED + 5):  # more pictures than the kernel keeps: the first is given to it anew
        notebook.page.evaluate(
            f"async () => {{ {APP}.view.editor.move(44, {40 + step}); await {APP}.refresh(); }}"
        )
    assert int(notebook.run("print(max(playground._desk.registered))")) > REMEMBERED
    last = f"move 1 44 {40 + REMEMBERED + 4}"
    assert notebook.run("print(playground.edits)") == f"['exchange warm', '{last}']"
    scene = notebook.app().get_by_label("Scene")
    scene.select_option("scale-1")
    notebook.unchanged()
    assert notebook.run("print(playground.scene, playground.edits)") == "scale-1 []"
    notebook.run("playground.scene = 'context-13'")  # each scene keeps its changes, here and there
    expect(scene).to_have_value("context-13")
    notebook.page.wait_for_function(f"{APP}.state.edits.at(-1) === '{last}'")
    scene.select_option("scale-1")
    notebook.unchanged()
    scene.select_option("context-13")
    notebook.page.wait_for_function(f"{APP}.state.edits.at(-1) === '{last}'")
    assert notebook.run("print(playground.edits)") == f"['exchange warm', '{last}']"
    notebook.run("playground.edits = []; playground.scene = 'scale-1'")
    expect(scene).to_have_value("scale-1")
    notebook.app().get_by_role("button", name="Done").click()
    assert notebook.tab.faults == []


def test_the_tour_and_a_drawing_are_heard_by_a_cell(notebook: Notebook) -> None:
    app = notebook.app()
    app.get_by_role("button", name="Tour").click()
    app.locator(".tour .guesses button").first.click()
    app.locator(".here").click()
    expect(app.locator(".tour .outcome")).to_contain_text("rubies")
    assert notebook.run("print(playground.scale_gates)") == "[1.0, 1.0, 1.0, 0.0]"
    app.get_by_role("button", name="Skip the tour").click()
    app.get_by_role("button", name="Draw …").click()
    emptied = f"{APP}.view.editor.composed?.arrangement.placed.length === 0"
    notebook.page.wait_for_function(emptied)
    app.locator(".stage .frame canvas").click()
    app.get_by_role("button", name="Done").click()
    assert notebook.run("print(playground.edits)").startswith("['remove all', 'add ruby ")
    assert notebook.tab.faults == []


def test_an_own_picture_answers_as_pytorch(notebook: Notebook) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (100, 137, 3), np.uint8)
    give(notebook.app(), "mine.png", png(picture))
    expect(notebook.app().locator(".hint")).to_contain_text("Your picture. The network that answers, street,")
    notebook.app().get_by_label("Scene").select_option("own demo_scale")
    found = changed(notebook.page, {"gates": [1, 1, 0, 1]}, APP)
    x = evaluation_image("demo_scale", picture)
    hold(found, look_inside(dmnet.load_pretrained("demo_scale"), x, [1, 1, 0, 1]).logits, (100, 137))
    assert notebook.run("print(playground.scene)") == "scale-26"  # the kernel's state knows nothing of it
    notebook.run("playground.scene = 'scale-16'")
    expect(notebook.app().get_by_label("Scene")).to_have_value("scale-16")
    assert notebook.tab.faults == []


def test_a_broken_file_is_named_and_nothing_else_breaks(notebook: Notebook) -> None:
    give(notebook.app(), "cut.png", png(np.zeros((50, 50, 3), np.uint8))[:60])
    expect(notebook.app().get_by_role("alert")).to_contain_text("“cut.png” cannot be opened")
    notebook.app().locator(".scale[data-k='7'] .switch").click()
    notebook.changed()
    assert notebook.tab.faults == []


def test_two_views_stay_in_step(notebook: Notebook) -> None:
    notebook.run("playground")
    notebook.unchanged(-1)
    switch(notebook.app(-1), 5).focus()
    notebook.page.keyboard.press("Space")
    expect(switch(notebook.app(), 5)).not_to_be_checked()
    for number in (0, -1):
        notebook.changed(number)
    texts = [notebook.app(number).locator(".summary").text_content() for number in (0, -1)]
    assert texts[0] == texts[1]
    assert notebook.tab.faults == []


def test_closed_it_is_gone(notebook: Notebook) -> None:
    notebook.run("other = Playground(); other")
    notebook.unchanged(-1)
    before = notebook.page.locator(".dmnet-app").count()
    notebook.run("other.close()")
    expect(notebook.page.locator(".dmnet-app")).to_have_count(before - 1)
    assert notebook.tab.faults == []


CONTRAST = """(element) => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const solid = (one) => (numbers(one)[3] ?? 1) > 0;
    const style = (one) => getComputedStyle(one);
    const brightness = ([r, g, b]) => [r, g, b].map((one) => one / 255)
        .map((one) => (one > 0.04045 ? ((one + 0.055) / 1.055) ** 2.4 : one / 12.92))
        .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (one) => (solid(style(one).backgroundColor) ? one : ground(one.parentElement));
    const isText = element.textContent.trim() !== "";
    const behind = numbers(style(ground(isText ? element : element.parentElement)).backgroundColor);
    const own = numbers(isText ? style(element).color : style(element).backgroundColor);
    const mixed = own.slice(0, 3).map((one, i) => one * (own[3] ?? 1) + behind[i] * (1 - (own[3] ?? 1)));
    const [low, high] = [brightness(mixed), brightness(behind)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}"""
TEXTS = (
    ".hint",
    ".summary",
    ".caption",
    ".scale output",
    ".scale b",
    ".classes li",
    "summary",
    ".fine",
    "button",
    ".chooser select",
)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_it_can_be_read_in_both_themes_and_beside_another_pane(notebook: Notebook, theme: str) -> None:
    page = notebook.page
    notebook.choose("Settings", "Theme", theme)
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
    pairs = [*((text, 4) for text in TEXTS), (".track", 3)]
    faint = {
        name: contrast
        for name, least in pairs
        if (contrast := notebook.app().locator(name).first.evaluate(CONTRAST)) < least
    }
    assert faint == {}
    notebook.app().get_by_text("Which scale matters here?").click()
    page.set_viewport_size({"width": 640, "height": 900})
    outside = notebook.app().evaluate("""(app) => {
        const right = app.getBoundingClientRect().right;
        return [...app.querySelectorAll(":not(table *, .thumbs *)")]
            .filter((one) => one.getBoundingClientRect().right > right).map((one) => one.className);
    }""")
    page.set_viewport_size(VIEWPORT)
    notebook.app().get_by_text("Which scale matters here?").click()
    assert outside == []


def ask_for_what_takes_long(notebook: Notebook, source: str) -> None:
    """Let the kernel do something else when a reader moves a switch, and move one."""
    notebook.run(f"import os, time; playground._desk.kinds['answer'] = lambda *_: {source}")
    notebook.app().locator(".scale[data-k='7'] .switch").click()


def restart(notebook: Notebook) -> None:
    ask_for_what_takes_long(notebook, "time.sleep(60)")
    notebook.choose("Kernel", "Restart Kernel…")


def die(notebook: Notebook) -> None:
    ask_for_what_takes_long(notebook, "os._exit(1)")
    notebook.confirm()  # JupyterLab tells that it will start another one


def shut_down(notebook: Notebook) -> None:
    notebook.choose("Kernel", "Shut Down Kernel")
    expect(notebook.page.locator(".jp-StatusBar-Widget")).to_contain_text("No Kernel")
    notebook.app().locator(".scale[data-k='7'] .switch").click()


@pytest.mark.few(1)
@pytest.mark.parametrize("end", [restart, die, shut_down])
def test_a_kernel_that_is_gone_is_missed(notebook: Notebook, end: Callable[[Notebook], None]) -> None:
    """Also by who has asked it before it went, and would wait for ever."""
    end(notebook)
    expect(notebook.app().get_by_role("alert")).to_contain_text("the kernel does not answer")
    expect(notebook.app().locator(".summary")).to_have_text("This cannot be shown; why not, is said below.")
    expect(notebook.app().locator(".engine")).to_be_hidden()
    expect(notebook.page.locator(".jp-StatusBar-Widget")).to_contain_text(re.compile(r"\| Idle|No Kernel"))
    notebook.run_first()  # as the message advises
    notebook.unchanged()
    expect(notebook.app().locator(".engine")).to_have_text("Live: the network demo_scale runs in the kernel.")
    # JupyterLab's own words for a request of its that the dead kernel left without a reply.
    assert [fault for fault in notebook.tab.faults if "Canceled future" not in fault] == []
