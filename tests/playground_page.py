"""Opening the playground on a page of the built book, and asking it things: for the tests in a browser."""

import io
import json
from collections.abc import Callable
from typing import Any

from browser import Tab
from PIL import Image
from playwright.sync_api import Locator, Page

WELCOME = "book/welcome.html"
COINS = f"{WELCOME}#play&scene=scale-26"
PLACE = "document.querySelector('[data-dmnet-playground]').playground"
Visit = Callable[..., Tab]


def shown(visit: Visit, path: str = COINS, *, live: bool = True, **options: Any) -> Tab:
    """Open a page and wait until the playground answers; with `live`, until the network does."""
    tab = visit(path, **options)
    wanted = "?.answer?.logits" if live else "?.answer"
    tab.page.wait_for_function(f"{PLACE}{wanted}", timeout=90_000)
    return tab


def changed(page: Page, state: dict[str, Any], place: str = PLACE) -> dict[str, Any]:
    """Set the state of the playground at `place`; return the network's answer to it."""
    # Playwright passes text on much quicker than numbers.
    script = f"""async (state) => {{
        const playground = {place};
        await playground.set(state);
        await playground.engine();
        await playground.refresh();
        const {{ logits, labels }} = playground.answer;
        return JSON.stringify({{ logits: [...logits], labels: [...labels] }});
    }}"""
    answer: dict[str, Any] = json.loads(page.evaluate(script, state))
    return answer


def switch(page: Page | Locator, k: int) -> Any:
    return page.get_by_role("switch", name=f"Scale {k} by {k}")


def summary(page: Page) -> Any:
    return page.locator(".dmnet-app .summary")


def labels_of(page: Page) -> list[int]:
    found: list[int] = json.loads(page.evaluate(f"JSON.stringify([...{PLACE}.answer.labels])"))
    return found


def await_labels(page: Page, wanted: list[int]) -> None:
    text = ",".join(map(str, wanted))
    page.wait_for_function(f"(wanted) => {PLACE}.answer.labels.join() === wanted", arg=text)


def png(picture: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()


def give(page: Page | Locator, name: str, content: bytes, kind: str = "image/png") -> None:
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": kind, "buffer": content})
