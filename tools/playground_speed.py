"""Measure the playground of the built book in headless Chromium: `data/results/playground_speed.csv`.

Call: `.venv/bin/python tools/playground_speed.py`. Bytes are those of every file that the page asks for, with
gzip as a host would send them, counted when the first answer stands on the page, and again when the network
has given its first. Times are from the request of the page (medians of nine visits, each with an empty
cache); a switch's from its click to the redrawn panels.
A pause is a task of the main thread of more than 50 ms (0: there was none): while the page is laid out,
while the network loads behind it, while all subsets are switched three times, while an object is moved to
40 places in the workbench. A photograph is the first one that the build has, at most 480x360.

Of every live figure of the chapters, one control is moved 30 times, a slider, an area or a grid: from the
change to the next task of the browser after it was drawn. At 30 frames a second that is 33 ms at most.

The slow phone: 390x844 pixels, 4 Mbit/s, 20 ms, the page's processor slowed four times, as Chromium emulates
them (workers are not slowed), and a host that compresses. Live is then the answer to a slider at 0.35, which
no file holds; medians of three visits. With `--phone` these rows alone are measured, and the others kept.
"""

import argparse
import csv
import gzip
import statistics
import sys
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, Page, Response, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import find_browser  # noqa: E402
from browser import Site, launch, live_figures  # noqa: E402

from dmnet.files import atomic_write  # noqa: E402

LOADS, PHONE_LOADS = 9, 3
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
LINE = {"offline": False, "latency": 20, "downloadThroughput": 4e6 / 8, "uploadThroughput": 4e6 / 8}
WATCH = """
window.pauses = [];
new PerformanceObserver((list) => list.getEntries().forEach((one) => window.pauses.push(one)))
    .observe({ type: "longtask", buffered: true });
document.addEventListener("dmnet-answer", (event) => {
    window.first ??= performance.now();
    if (event.target.parentElement.playground?.answer?.logits) window.live ??= performance.now();
});
"""
UNKNOWN = """
document.addEventListener("dmnet-answer", (event) => {
    const { playground: shown } = event.target.parentElement;
    if (!window.asked) shown.set({ gates: [1, 1, 1, 0.35] });
    else if (shown.answer.logits && shown.state.gates[3] === 0.35) window.unknown ??= performance.now();
    window.asked = true;
});
"""
ASKED = """Object.fromEntries(
    performance.getEntriesByType("resource").map((one) => [one.name, one.startTime]))"""
SPLIT = """[(one) => one.startTime < window.first, (one) => one.startTime >= window.first].map((when) =>
    Math.max(0, ...window.pauses.filter(when).map((one) => one.duration)))"""
PHOTOGRAPH = """async () => {
    const playground = document.querySelector("[data-dmnet-playground]").playground;
    const [scene] = playground.worlds.find(({ name }) => name === "street").scenes;
    await playground.set({ scene: scene.id });
    await playground.engine();
}"""
FIGURE = """async (name) => {
    const figure = document.querySelector(`section.live.${name}`);
    const sliders = figure.querySelectorAll("input[type=range]:not([disabled])");
    const keys = figure.querySelectorAll("[role=application], [role=slider], [role=gridcell][tabindex='0']");
    const control = [...sliders, ...keys].find((one) => one.checkVisibility());
    const times = [];
    for (let i = 0; i < 30; i++) {
        const begin = performance.now();
        if (control.type === "range") {
            control.value = Number(control.min) + ((control.max - control.min) * ((7 * i) % 30)) / 29;
            control.dispatchEvent(new Event("input", { bubbles: true }));
        } else {
            const options = { key: i % 8 < 4 ? "ArrowRight" : "ArrowLeft", bubbles: true };
            control.dispatchEvent(new KeyboardEvent("keydown", options));
        }
        await new Promise(requestAnimationFrame);
        await new Promise((done) => { setTimeout(done); });
        times.push(performance.now() - begin);
    }
    return times.slice(1);
}"""
CHANGE = """async (state) => {
    const playground = document.querySelector("[data-dmnet-playground]").playground;
    const begin = performance.now();
    await playground.set(state);
    return performance.now() - begin;
}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--output", type=Path, default=ROOT / "data" / "results" / "playground_speed.csv")
    parser.add_argument("--phone", action="store_true", help="measure the slow phone alone")
    arguments = parser.parse_args()
    executable = find_browser.find()
    if executable is None:
        sys.exit(find_browser.ADVICE)
    site, host = Site(arguments.html), Site(arguments.html, compress=True)
    with sync_playwright() as playwright:
        browser = launch(playwright, executable)
        rows = phone(browser, f"{host.address}/book/welcome.html")
        if arguments.phone:
            with arguments.output.open(encoding="utf8") as file:
                kept = [tuple(row) for row in csv.reader(file)][1:]
            rows = [row for row in kept if not row[0].startswith("slow phone")] + rows
        else:
            rows = measure(browser, f"{site.address}/book/welcome.html") + rows
            rows += figures(browser, site.address)
        browser.close()
    site.close()
    host.close()
    with atomic_write(arguments.output) as new, new.open("w", newline="", encoding="utf8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("what", "value", "unit", "goal"), *rows])
    for what, value, unit, goal in rows:
        print(f"{what:45} {value:>8} {unit:3} (goal: {goal})")


def measure(browser: Browser, address: str) -> list[tuple[str, float, str, str]]:
    """Return rows: what, its value, unit and goal."""
    loads = [load(browser.new_page(), address) for _ in range(LOADS)]
    middle = {name: statistics.median(one[name] for one in loads) for name in loads[0]}
    page = browser.new_page()
    load(page, address)
    page.wait_for_timeout(1000)
    times, pause = change(page, [{"gates": gates} for gates in 3 * list(product((0, 1), repeat=4))])
    page.get_by_role("button", name="Change …").click()
    page.wait_for_timeout(1000)
    moves = [{"gates": [1] * 4, "edits": [f"move 3 {20 + 3 * i} {30 + 2 * i}"]} for i in range(41)]
    moved, pause_moving = change(page, moves)
    del moved[0]  # sets the gates
    page.evaluate(PHOTOGRAPH)
    answered, _ = change(page, [{"gates": [1, i % 2, 1, 1]} for i in range(8)])
    del answered[0]  # the network's first run
    return [
        ("switch to redrawn, median", round(statistics.median(times)), "ms", "100"),
        ("switch to redrawn, slowest of 48", round(max(times)), "ms", ""),
        ("longest main-thread pause while switching", round(pause), "ms", "50"),
        ("object moved to redrawn, median", round(statistics.median(moved)), "ms", "100"),
        ("object moved to redrawn, slowest of 40", round(max(moved)), "ms", ""),
        ("longest main-thread pause while moving", round(pause_moving), "ms", "50"),
        ("photograph answered and redrawn, median", round(statistics.median(answered)), "ms", "700"),
        ("longest main-thread pause to the first answer", round(middle["page pause"]), "ms", ""),
        ("longest pause from there to the live network", round(middle["network pause"]), "ms", "50"),
        ("welcome page to the first answer", round(middle["first"], 2), "s", "1"),
        ("welcome page to the first answer, compressed", round(middle["first kB"]), "kB", "600"),
        ("welcome page to the live network", round(middle["live"], 2), "s", "4"),
        ("welcome page to the live network, compressed", round(middle["live kB"]), "kB", "6000"),
    ]


def figures(browser: Browser, address: str) -> list[tuple[str, float, str, str]]:
    """Return a row for every live figure: until a moved control is drawn."""
    rows = []
    for chapter, names in live_figures().items():
        page = browser.new_page()
        page.goto(f"{address}/book/{chapter}.html")
        for name in names:
            place = page.locator(f"[data-dmnet-live={name}]")
            place.scroll_into_view_if_needed()
            page.wait_for_selector(f"section.live.{name}", timeout=60_000)
            page.wait_for_timeout(500)
            times = page.evaluate(FIGURE, name)
            middle = round(statistics.median(times), 1)
            rows.append((f"figure {name}: moved to drawn, median", middle, "ms", "33"))
        page.close()
    return rows


def phone(browser: Browser, address: str) -> list[tuple[str, float, str, str]]:
    """Return the rows of a slow phone."""
    visits = []
    for _ in range(PHONE_LOADS):
        context = browser.new_context(**PHONE)
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        session.send("Network.emulateNetworkConditions", LINE)
        session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        page.add_init_script(WATCH + UNKNOWN)
        page.goto(address, wait_until="commit")
        page.wait_for_function("window.unknown", timeout=120_000)
        visits.append(page.evaluate("[window.first / 1000, window.unknown / 1000]"))
        context.close()
    first, live = (statistics.median(times) for times in zip(*visits, strict=True))
    return [
        ("slow phone: first answer", round(first, 1), "s", "4"),
        ("slow phone: live", round(live, 1), "s", "10"),
    ]


def load(page: Page, address: str) -> dict[str, float]:
    """Open the page, as a new visitor, and wait until the network is live."""
    responses: list[Response] = []
    page.on("response", lambda one: responses.append(one))
    page.add_init_script(WATCH)
    page.goto(address, wait_until="commit")
    page.wait_for_function("window.live", timeout=120_000)
    first, live = page.evaluate("[window.first, window.live]")
    asked = page.evaluate(ASKED)
    page_pause, network_pause = page.evaluate(SPLIT)
    return {
        "first": first / 1000,
        "live": live / 1000,
        "first kB": compressed([one for one in responses if asked.get(one.url, 0) <= first]) / 1000,
        "live kB": compressed([one for one in responses if asked.get(one.url, 0) <= live]) / 1000,
        "page pause": page_pause,
        "network pause": network_pause,
    }


def change(page: Page, states: list[dict[str, object]]) -> tuple[list[float], float]:
    """Set the playground's state again and again; return the times, and the longest pause."""
    page.evaluate("window.pauses.length = 0")
    times = [page.evaluate(CHANGE, state) for state in states]
    page.wait_for_timeout(500)
    return times, page.evaluate("Math.max(0, ...window.pauses.map((one) => one.duration))")


def compressed(responses: list[Response]) -> int:
    """Return the bytes that a host which compresses would send."""
    bodies = {one.url: one.body() for one in responses if one.ok}
    return sum(min(len(body), len(gzip.compress(body))) for body in bodies.values())


if __name__ == "__main__":
    main()
