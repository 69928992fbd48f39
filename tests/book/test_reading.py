"""Every page for every reader: audited by axe, walked with the keyboard, printed, read without a script."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Tab
from playwright.sync_api import Page
from test_book import HTML, listed_pages

AXE = (
    Path(__file__).resolve().parents[2] / ".venv" / "javascript" / "node_modules" / "axe-core" / "axe.min.js"
)
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# What is heard depends on the width, what is seen on the theme: two audits with all rules meet each of them,
# the one on every second page, the other on the rest. Two more ask for contrast alone.
AUDITS = [(DESK, "light", None), (PHONE, "dark", None)]
MORE_AUDITS = [(DESK, "dark", "color-contrast"), (PHONE, "light", "color-contrast")]
PLACES = list(enumerate(listed_pages()))
# Every chapter each time; of pages that Sphinx writes alike, and of those that are text alone, one of each.
PLAIN = {"api", "bibliography", "changes", "differences", "licences", "terms"}
ALIKE = {name for _, name in PLACES if name.startswith("book/api_")} - {"book/api_cli"}
ALIKE |= {f"book/{name}" for name in PLAIN}
EVERY_TIME = [
    pytest.param(name, AUDITS[i % 2 :][:1], id=name, marks=[pytest.mark.long] if name in ALIKE else [])
    for i, name in PLACES
]
LATER = [
    pytest.param(name, AUDITS[1 - i % 2 :][:1] + MORE_AUDITS, id=f"{name}-long", marks=pytest.mark.long)
    for i, name in PLACES
]
AT_ONCE = """const sheet = document.createElement("style");
    sheet.textContent = "*, ::before, ::after { transition: none !important; animation: none !important; }";
    document.head.append(sheet);
    const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));"""
UNFOLD = f"""async () => {{
    {AT_ONCE}
    for (const fold of document.querySelectorAll("article details")) fold.open = true;
    for (const button of document.querySelectorAll(".toggle-hidden .toggle-button")) button.click();
    await drawn();
}}"""
AUDIT = """async (rule) => {
    const only = rule ? { runOnly: { type: "rule", values: [rule] } } : {};
    const { violations } = await axe.run(document, { ...only, resultTypes: ["violations"] });
    return violations.flatMap(({ id, impact, nodes }) =>
        nodes.map((node) => `${impact} ${id}: ${node.target.join(" ")} ${node.any[0]?.message ?? ""}`));
}"""


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if not HTML.is_dir():
        pytest.skip("the book is not built: `make book` builds it")


def axe_findings(page: Page, rule: str | None) -> list[str]:
    """Return the critical and the serious findings on a page."""
    found = page.evaluate(AUDIT, rule)
    return [one for one in found if one.startswith(("critical", "serious"))]


@pytest.mark.parametrize(("name", "audits"), EVERY_TIME + LATER)
def test_axe_finds_nothing_serious(name: str, audits: list[Any], visit: Callable[..., Tab]) -> None:
    """At a desk or on a telephone, light or dark, with every fold open."""
    if not AXE.is_file():
        pytest.skip("needs axe-core, which `make setup` fetches")
    tab = visit(f"{name}.html", reduced_motion="reduce", bypass_csp=True)
    tab.settle()
    tab.page.evaluate(UNFOLD)
    tab.page.add_script_tag(path=AXE)
    found: dict[str, list[str]] = {}
    for size, theme, rule in audits:
        tab.page.set_viewport_size(size)
        tab.page.evaluate(SHOW_THEME, theme)
        if serious := axe_findings(tab.page, rule):
            found[f"{size['width']} pixels, {theme}"] = serious
    assert found == {}


SHOW_THEME = f"""async (theme) => {{
    {AT_ONCE}
    document.documentElement.dataset.theme = theme;
    await drawn();
}}"""


def test_axe_would_tell(visit: Callable[..., Tab], tmp_path: Path) -> None:
    """The check above is not blind."""
    if not AXE.is_file():
        pytest.skip("needs axe-core, which `make setup` fetches")
    (tmp_path / "page.html").write_text(
        "<html lang=en><title>t</title><main><p style='color: #aaa'>pale</p><img src=data:,></main>"
    )
    tab = visit("page.html", tmp_path, bypass_csp=True)
    tab.page.add_script_tag(path=AXE)
    assert {one.split(":")[0] for one in axe_findings(tab.page, None)} == {
        "serious color-contrast",
        "critical image-alt",
    }
    assert [one.split(":")[0] for one in axe_findings(tab.page, "color-contrast")] == [
        "serious color-contrast"
    ]


WALK = """() => {
    const one = document.activeElement;
    const style = getComputedStyle(one), box = one.getBoundingClientRect();
    const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    const seen = box.width > 0 && box.height > 0 && style.visibility === "visible" && style.opacity !== "0";
    const path = one.id ? `#${one.id}` : `${one.tagName}.${one.className}`;
    return { path, end: one === document.body, ring, seen };
}"""


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["book/05_data", "book/notation"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_keyboards_place_is_always_seen(name: str, size: Any, visit: Callable[..., Tab]) -> None:
    tab = visit(f"{name}.html", viewport=size)
    tab.settle()
    stops: list[dict[str, Any]] = []
    for _ in range(250):
        tab.page.keyboard.press("Tab")
        stops.append(tab.page.evaluate(WALK))
        if stops[-1]["end"]:
            break
    reached = [stop for stop in stops if not stop["end"]]
    assert len(reached) > 20
    assert sorted({stop["path"] for stop in reached if not (stop["ring"] and stop["seen"])}) == []


def test_the_first_stop_skips_to_the_text(visit: Callable[..., Tab]) -> None:
    tab = visit("book/05_data.html")
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("() => document.activeElement.textContent.trim()") == "Skip to main content"
    tab.page.keyboard.press("Enter")
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("() => document.activeElement.closest('main') !== null")


def test_the_contents_light_what_is_read(visit: Callable[..., Tab]) -> None:
    """After a jump, upwards as downwards; at the end of the page its last section."""
    tab = visit("book/05_data.html", viewport=DESK)
    tab.settle()
    places = ["pictures-of-your-own", "what-is-in-a-mask-file", "summary", "which-pixels-dont-count"]
    seen = [tab.page.evaluate(LIT, place) for place in places]
    assert seen == [[place] for place in places]
    assert tab.page.evaluate(LIT, "") == ["exercises"]


LIT = """async (place) => {
    const top = document.getElementById(place)?.getBoundingClientRect().top ?? 1e6;
    scrollBy({ top, behavior: "instant" });
    await new Promise((done) => setTimeout(done, 300));
    const lit = document.querySelectorAll("#pst-page-toc-nav a:is(.active, [aria-current])");
    return [...lit].map((one) => one.hash.slice(1));
}"""


@pytest.mark.parametrize("name", ["book/05_data", "book/12_zoo"])
def test_what_is_wider_than_a_telephone_says_so(name: str, visit: Callable[..., Tab]) -> None:
    """A box with more on the right is marked until it was scrolled there; the page itself does not pan."""
    tab = visit(f"{name}.html", viewport=PHONE, has_touch=True, is_mobile=True)
    tab.settle()
    tab.page.evaluate(UNFOLD)
    wide, unmarked = tab.page.evaluate(
        """() => {
            const boxes = [...document.querySelectorAll("article :is(.table-box > div, .highlight pre)")];
            const wide = boxes.filter((box) => box.scrollWidth > box.clientWidth + 2);
            const named = (box) => box.tabIndex === 0 && box.getAttribute("aria-label");
            const unmarked = wide.filter((box) => !(box.closest(".more") && named(box)));
            return [wide.length, unmarked.map((box) => box.textContent.slice(0, 40))];
        }"""
    )
    assert wide > 5
    assert unmarked == []
    assert tab.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    left = tab.page.evaluate(
        """async () => {
            const box = document.querySelector("article :is(.table-box.more > div, .highlight.more > pre)");
            box.scrollLeft = box.scrollWidth;
            await new Promise((done) => setTimeout(done, 300));
            return box.closest(".more") === null;
        }"""
    )
    assert left


A4 = {"width": 718, "height": 1000}  # between margins of a centimetre


@pytest.mark.few(2)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["book/05_data", "book/04_dmnet"])
def test_paper(name: str, theme: Any, visit: Callable[..., Tab]) -> None:
    """White, nothing beside the text, nothing folded, nothing cut; afterwards the screen is as it was."""
    tab = visit(f"{name}.html", viewport=DESK, color_scheme=theme)
    tab.settle()
    before = tab.page.evaluate("() => document.querySelectorAll('details[open]').length")
    tab.page.set_viewport_size(A4)
    tab.page.emulate_media(media="print")
    tab.page.evaluate("() => { dispatchEvent(new Event('beforeprint')); }")
    tab.page.wait_for_timeout(500)
    closed, beside, cut, dark, faint = tab.page.evaluate(PAPER)
    assert closed == 0
    assert beside == []
    assert cut == []
    assert dark == []
    assert faint == []
    tab.page.evaluate("() => { dispatchEvent(new Event('afterprint')); }")
    assert tab.page.evaluate("() => document.querySelectorAll('details[open]').length") == before
    assert tab.page.evaluate("() => document.documentElement.dataset.theme") == theme


PAPER = """() => {
    const shown = (one) => one.checkVisibility() && one.getBoundingClientRect().height > 0;
    const closed = document.querySelectorAll("article details:not([open]), article .toggle-hidden").length;
    const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
    const beside = all(".bd-sidebar, .bd-header-article, .toggle-button, .copybtn, footer")
        .map((one) => one.className);
    const right = (box) => box.getBoundingClientRect().left + Math.max(box.offsetWidth, box.scrollWidth);
    const cut = all("article :is(pre, .table-box > div, img)").filter((box) => right(box) > innerWidth + 1)
        .map((box) => box.textContent.slice(0, 60));
    const light = (colour) => {
        const [r, g, b, a] = colour.match(/[\\d.]+/g).map(Number);
        return a === 0 || Math.min(r, g, b) > 200 || Math.max(r, g, b) - Math.min(r, g, b) > 60;
    };
    const dark = all("body, article :is(p, pre, td, th, .admonition, .highlight)")
        .filter((one) => !light(getComputedStyle(one).backgroundColor)).map((one) => one.className);
    const faint = all("article *").filter((one) => getComputedStyle(one).animationName !== "none")
        .map((one) => one.className);
    return [closed, beside, cut, dark, faint];
}"""


def test_without_a_script_all_can_be_read(visit: Callable[..., Tab]) -> None:
    """Folds open by themselves, what a script would fold stands open, and nothing waits for one."""
    tab = visit("book/05_data.html", java_script_enabled=False)
    page = tab.page
    answer = page.locator("details.sd-dropdown").first
    page.locator("details.sd-dropdown > summary").first.click()
    assert answer.locator("p").first.is_visible()
    code = page.locator("details.hide").first
    page.locator("details.hide > summary").first.click()
    assert code.locator("pre").first.is_visible()
    solutions = page.locator(".solution.dropdown")
    assert solutions.count() >= 4
    assert all(solutions.nth(place).locator("p").last.is_visible() for place in range(solutions.count()))
