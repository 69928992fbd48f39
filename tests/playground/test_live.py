"""The live figures: what a cell gives them; and that on a page, in Chromium, they say what Python says."""

import gzip
import html
import io
import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from browser import Tab
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from torch import Tensor, nn

from dmnet import systems
from dmnet.analysis import counting
from dmnet.analysis.inside import gated_logits, look_inside
from dmnet.backbone import Bottleneck, ResNet
from dmnet.dynamic import dynamic_depthwise_conv
from dmnet.inference import labels_at
from dmnet.metrics import ConfusionMatrix
from dmnet.playground import LiveFigure, bundle, site
from dmnet.playground.catalogue import QUESTIONS, SUBSETS, PlayScene
from dmnet.playground.scenes import window_votes
from dmnet.training import learning_rate
from dmnet.transforms import evaluation_image
from dmnet.worlds.demo import WORLDS
from dmnet.zoo import load_pretrained

Visit = Callable[..., Tab]
ROWS = ["530000", "440000", "351000", "442100", "443523", "534421"]  # the letter L of the chapter
SCENE = PlayScene("demo_scale", 26).draw()
ASKS = {"ruby": ("warm_tile", 1, 2), "jade": ("light_tile", 3, 4)}
SIDES = [*range(8, 161, 8), 320]
COINS = [
    (kind, item.label == yes, round(item.x), round(item.y))
    for item in SCENE.objects
    for kind, (_, yes, no) in ASKS.items()
    if item.label in (yes, no)
]
ALT = 'A "still" <picture>'


def digits() -> LiveFigure:
    image = torch.tensor([[float(digit) for digit in row] for row in ROWS])
    return LiveFigure("digits", {"image": image, "w": 1, "b": -1, "k": 3}, plt.figure(), ALT)


def votes() -> LiveFigure:
    data = {
        "picture": SCENE.image,
        "maps": {kind: SCENE.truth[seen] for kind, (seen, *_) in ASKS.items()},
        "coins": COINS,
        "sides": SIDES,
        "curves": {kind: np.linspace(0.5, end, len(SIDES)) for kind, end in (("ruby", 0.9), ("jade", 0.6))},
    }
    return LiveFigure("votes", data, plt.figure(), ALT)


@cache
def asked() -> tuple[Tensor, Tensor, list[Tensor]]:
    """The scene's logits, [16, 7, 20, 20], their dividends in quarters, as in the chapter, and responses."""
    model = load_pretrained("demo_scale")
    answer = look_inside(model, evaluation_image("demo_scale", SCENE.image), [1] * 4)
    logits = gated_logits(model, SUBSETS, answer.features, answer.responses)
    dividends = torch.zeros_like(logits)
    for s, wanted in enumerate(4 * logits):
        rest = wanted - sum(dividends[t] for t in range(s + 1) if t & ~s == 0)
        dividends[s] = rest.round() * (rest.abs() > 1)
    return logits, dividends, answer.responses


def why() -> LiveFigure:
    _, dividends, responses = asked()
    busy = [one[one.std((1, 2)).argmax()] for one in responses]
    classes = WORLDS["demo_scale"].classes
    data = {
        "picture": SCENE.image,
        "truth": SCENE.mask.astype(np.int8),
        "at": (141, 112),
        "dividends": dividends.to(torch.int8),
        "step": 0.25,
        "scales": ["1×1", "3×3", "5×5", "7×7"],
        "responses": [(24 * one / one.max()).round().to(torch.int8) for one in busy],
        "names": classes.names,
        "palette": classes.palette,
        "colours": ["#e69f00", "#56b4e9", "#cc79a7", "#0072b2"],
    }
    return LiveFigure("why", data, plt.figure(), ALT)


def resnet(output_stride: int) -> list[list[int]]:
    """Map, kernel size, stride and dilation of the layers of a ResNet-50 that look at neighbours."""
    maps = {"stem": 0, "maxpool": 0} | {f"layer{n}": n for n in range(1, 5)}
    found: list[list[int]] = []
    for name, layer in ResNet(Bottleneck, (3, 4, 6, 3), "deep", output_stride, 8).named_modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d) and "downsample" not in name:
            sizes = [int(np.ravel(one)[0]) for one in (layer.kernel_size, layer.stride, layer.dilation)]
            found += [[maps[name.split(".")[0]], *sizes]] if sizes[0] > 1 else []
    return found


def field() -> LiveFigure:
    layers = [row[:3] for row in resnet(32)]
    data = {"picture": SCENE.image, "alt": "A mosaic", "size": 512, "layers": layers}
    return LiveFigure("field", data, plt.figure(), ALT)


TRUTH = np.array([[0, 0, 0, 255, 1, 1], [0, 0, 0, 255, 1, 1], [2, 2, 255, 255, 0, 0]])
SAID = np.array([[0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 2, 2], [2, 2, 2, 0, 0, 0]])


def score() -> LiveFigure:
    data = {
        "truth": TRUTH.astype(np.int8),
        "prediction": SAID.astype(np.int8),
        "names": ["background", "warm", "cool", "ring"],
        "palette": WORLDS["demo_scale"].classes.palette[:4],
    }
    return LiveFigure("score", data, plt.figure(), ALT)


def small(values: Tensor) -> Tensor:
    return (40 * values / values.abs().max()).round().to(torch.int8)


@cache
def plan_data() -> dict[str, Any]:
    model = load_pretrained("demo_scale")
    answer = look_inside(model, evaluation_image("demo_scale", SCENE.image), [1] * 4)
    f, responses = answer.features, [small(one[3]) for one in answer.responses]
    parts = torch.arange(35.0).reshape(7, 5) - 12.5  # any numbers: what is added to the lead of a class
    scene = {
        "picture": SCENE.image[::2, ::2],
        "truth": SCENE.mask[::2, ::2].astype(np.int8),
        "stage3": small(f[4].repeat_interleave(2, 0).repeat_interleave(2, 1)),
        "f": small(f[5]),
        "thumbnails": [small(F.adaptive_avg_pool2d(f, k)[5]) for k in (1, 3, 5, 7)],
        "filters": [small(one[3]) for one in answer.filters],
        "reduced": [small(one) for one in f[1:5]],
        "responses": responses,
        "summands": [small(one) for one in f[6:11]],
        "fused": small(f[12]),
        "logits": (2 * answer.logits).round().to(torch.int8),
        "added": parts.tolist(),
    }
    classes = WORLDS["demo_scale"].classes
    scenes = [scene, scene | {"responses": responses[::-1], "added": (-parts).tolist()}]
    return {"scenes": scenes, "names": classes.names, "palette": classes.palette}


def plan() -> LiveFigure:
    return LiveFigure("plan", plan_data(), plt.figure(), ALT)


@cache
def built() -> tuple[Tensor, Tensor]:
    """What makes filters, and what they meet: int8 [2, 3, 20, 20] each, two scenes and three channels."""
    model = load_pretrained("demo_scale")
    images = [evaluation_image("demo_scale", one) for one in (SCENE.image, SCENE.image[:, ::-1].copy())]
    features = torch.stack([look_inside(model, image, [1] * 4).features for image in images])
    scale = model.head.scales[3]
    maps = [one(features)[:, [0, 2, 13]] for one in (scale.generate, scale.reduce)]
    return maps[0].mul(10).round().to(torch.int8), maps[1].mul(20).round().to(torch.int8)


def build() -> LiveFigure:
    projected, reduced = built()
    data = {
        "pictures": [SCENE.image, SCENE.image[:, ::-1].copy()],
        "alt": "A mosaic",
        "channels": [0, 2, 13],
        "steps": [[0.1] * 3, [0.05] * 3],
        "projected": projected,
        "reduced": reduced,
        "at": (2, 6, 8, 9),
    }
    return LiveFigure("build", data, plt.figure(), ALT)


def packed(values: Tensor, levels: int) -> tuple[dict[str, Any], Tensor]:
    """Whole numbers, and a step for each entry of the first axis, as the page has them; what they mean."""
    lines = values.reshape(len(values), -1)
    steps = [float(f"{step:.3g}") for step in lines.abs().amax(1) / levels]
    whole = (lines / torch.tensor(steps)[:, None]).round().to(torch.int8)
    meant = (whole * torch.tensor(steps)[:, None]).reshape(values.shape)
    return {"values": whole.reshape(values.shape), "steps": steps}, meant


@cache
def behind_filters() -> tuple[dict[str, Any], dict[str, Tensor], Tensor]:
    """What the answer needs besides the 7×7 filters: for the page, in numbers; and the network's logits."""
    model = load_pretrained("demo_scale")
    images = [evaluation_image("demo_scale", one) for one in (SCENE.image, SCENE.image[:, ::-1].copy())]
    ours, other = (look_inside(model, image, [1] * 4) for image in images)
    scale, fuse, classify = model.head.scales[3], model.head.fuse, model.head.classify
    off, units = torch.zeros(1, 16, 1, 1), torch.eye(128)[112:, :, None, None]
    with torch.no_grad():
        shift = scale.norm(off)[0]
        joined = torch.cat([ours.features, *ours.responses[:3], off[0].expand(16, 20, 20)])
        heed = classify.weight[..., 0, 0].norm(dim=0)[:, None, None]
        net = {
            "filters": torch.stack([ours.filters[3], other.filters[3]], 1),
            "met": scale.reduce(ours.features[None])[0],
            "shift": shift,
            "factor": scale.norm(1 + off)[0] - shift,
            "rest": fuse[:2](joined[None]) * heed,
            "weigh": ((fuse[:2](units) - fuse[:2](0 * units)) * heed)[..., 0, 0],
            "classify": classify.weight[..., 0, 0] / heed[:, 0, 0],
            "bias": classify.bias,
        }
    both = {name: packed(one, LEVELS.get(name, 120)) for name, one in net.items()}
    return {n: one[0] for n, one in both.items()}, {n: one[1] for n, one in both.items()}, ours.logits


LEVELS = {"rest": 40, "met": 31}


def answer_with(filters: Tensor) -> Any:
    """The labels, by the numbers that the page has."""
    n = behind_filters()[1]
    response = dynamic_depthwise_conv(n["met"][None], filters[None])[0] * n["factor"] + n["shift"]
    fused = n["rest"][0] + torch.einsum("co,chw->ohw", n["weigh"], response.relu())
    return labels_at(
        torch.einsum("ko,ohw->khw", n["classify"], fused.relu()) + n["bias"][:, None, None], (160, 160)
    )


def filters() -> LiveFigure:
    classes = WORLDS["demo_scale"].classes
    data = {
        "net": behind_filters()[0],
        "grid": 20,
        "size": 160,
        "channels": [13, 3, 11, 1, 7, 2],
        "picture": SCENE.image[::2, ::2],
        "lender": SCENE.image[::4, ::-4],
        "alt": "A mosaic",
        "coins": [(round(one.x), round(one.y), one.label) for one in SCENE.objects],
        "names": classes.names,
        "palette": classes.palette[: len(classes.names)],
    }
    return LiveFigure("filters", data, plt.figure(), ALT)


def holes() -> LiveFigure:
    return LiveFigure("holes", {"digits": [3, 1, 4, 1, 5, 9, 2]}, plt.figure(), ALT)


SIDE, STEP = 64, 32  # of the window, and from one place of it to the next


@cache
def windowed() -> dict[str, Any]:
    """The scene's labels as a whole, and what each window gives, alone and with lent filters."""
    model, x = load_pretrained("demo_scale"), evaluation_image("demo_scale", SCENE.image)
    corners = [(top, left) for top in range(0, 97, STEP) for left in range(0, 97, STEP)]
    general = look_inside(model, x, [1] * 4)
    found: dict[str, list[Any]] = {"own": [], "lent": [], "filters": []}
    with torch.inference_mode():
        for top, left in corners:
            features = model.backbone(x[None, :, top : top + SIDE, left : left + SIDE]).stage4
            own = model.head.filters(features)
            lent = [one[None] for one in general.filters]
            for name, filters in (("own", own), ("lent", lent)):
                responses = model.head.responses(features, filters)
                gates = model.head.gates((1, 1, 1, 1), features)
                logits = model.head.logits(features, responses, gates)[0]
                found[name].append(labels_at(logits, (SIDE, SIDE)))
            found["filters"].append(own[3][0])
    filters = torch.stack([*found["filters"], general.filters[3]])
    return {
        "corners": corners,
        "whole": labels_at(general.logits, (160, 160)),
        "own": np.array(found["own"]),
        "lent": np.array(found["lent"]),
        "taps": filters[:, 13],
    }


def window() -> LiveFigure:
    found, classes = windowed(), WORLDS["demo_scale"].classes
    unit = float(found["taps"].abs().max()) / 100
    data = {
        "picture": SCENE.image,
        "alt": "A mosaic",
        "side": SIDE,
        "step": STEP,
        "at": (1, 1),
        "truth": SCENE.mask.astype(np.int8),
        **{name: found[name].astype(np.int8) for name in ("whole", "own", "lent")},
        "filters": (found["taps"] / unit).round().to(torch.int8),
        "unit": unit,
        "warm": SCENE.truth["warm_side"],
        "coins": [(round(one.x), round(one.y), one.label) for one in SCENE.objects],
        "names": classes.names,
        "palette": classes.palette[: len(classes.names)],
    }
    return LiveFigure("window", data, plt.figure(), ALT)


@cache
def followed(seed: int) -> dict[str, Any]:
    """Any run: 60 steps, three looks at two scenes of 16x16 pixels; "labels" are what "said" shows."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 7, (3, 2, 16, 16)).astype(np.uint8)
    picture = Image.fromarray(labels.reshape(-1, 16))
    picture.putpalette(WORLDS["demo_context"].classes.palette.tobytes())
    picture.save(file := io.BytesIO(), "png")
    scores = dict(zip(("mIoU", "gem", "quilt"), chance.uniform(0.1, 1, (3, 3)).tolist(), strict=True))
    scores["quilt"][0] = None  # nothing was called a piece
    return {
        "loss": 3 * chance.random(60),
        "scores": scores,
        "right": chance.uniform(0.1, 1, (2, 3)),
        "said": f"data:image/png;base64,{b64encode(file.getvalue()).decode()}",
        "filters": chance.integers(-120, 121, (3, 2, 7, 7)).astype(np.int8),
        "step": 0.01 * (seed + 1),
        "channel": seed + 3,
        "labels": labels.tolist(),
    }


RUN = replace(systems.get("demo_context").recipe, iterations=60, warmup=10)


def training() -> LiveFigure:
    classes = WORLDS["demo_context"].classes
    final = RUN.final_learning_rate
    data = {
        "system": "demo_context",
        "looks": [20, 40, 60],
        "seeds": [0, 1, 2],
        "recipe": {"rate": RUN.learning_rate, "final": final, "power": RUN.power, "warmup": RUN.warmup},
        "pictures": [SCENE.image[:64, :64], SCENE.image[64:128, :64]],
        "truths": [SCENE.image[:64, :64], SCENE.image[64:128, :64]],
        "names": classes.names,
        "palette": classes.palette[: len(classes.names)],
        "runs": {0: followed(0)},
    }
    return LiveFigure("training", data, plt.figure(), ALT, {1: followed(1), 2: followed(2)})


FIGURES = {
    "digits": digits,
    "votes": votes,
    "why": why,
    "field": field,
    "score": score,
    "build": build,
    "plan": plan,
    "filters": filters,
    "holes": holes,
    "window": window,
    "training": training,
}


def held(figure: LiveFigure) -> Any:
    """What a page finds in its place: the data."""
    found = re.search(
        r'<script type="application/json">(.*?)</script>', figure._repr_mimebundle_()[0]["text/html"]
    )
    assert found
    return json.loads(found[1])


class TestWhatACellGives:
    def test_arrays_become_what_json_has(self) -> None:
        data = held(votes())
        assert data["picture"].startswith("data:image/webp;base64,")
        assert data["maps"]["ruby"]["shape"] == [160, 160]
        assert data["coins"][0] == ["ruby", False, 141, 112]
        assert data["curves"]["jade"][-1] == 0.6
        assert held(digits())["image"][0] == [5, 3, 0, 0, 0, 0]

    def test_the_still_picture_has_a_text_and_is_closed(self) -> None:
        before = plt.get_fignums()
        shown = digits()._repr_mimebundle_()[0]["text/html"]
        assert f'alt="{html.escape(ALT)}"' in shown and 'src="data:image/svg+xml;base64,' in shown
        assert plt.get_fignums() == before

    def test_no_text_ends_the_script(self) -> None:
        figure = LiveFigure("digits", {"image": "</script><b>"}, plt.figure(), ALT)
        assert held(figure) == {"image": "</script><b>"}

    @pytest.mark.parametrize("name", FIGURES)
    def test_code_and_data_are_light(self, name: str) -> None:
        figure = FIGURES[name]()
        parts = [bundle.script(name), bundle.style("live"), figure.data]
        assert sum(len(gzip.compress(part.encode())) for part in parts) <= 40_000
        assert "eval(" not in parts[0] and "http" not in parts[0].replace("http://www.w3.org/2000/svg", "")


@pytest.fixture
def show(visit: Visit, tmp_path: Path) -> Callable[..., Tab]:
    """Open a page of our own with a figure; with `ready=False` it is not waited for."""

    def show(name: str, ready: bool = True, hash: str = "", **options: Any) -> Tab:
        site.write_front_end(tmp_path)
        shown = FIGURES[name]()._repr_mimebundle_()[0]["text/html"]
        head = '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:">'
        head += '<link rel="stylesheet" href="live.css"><script type="module" src="live.js"></script>'
        page = (
            f'<!doctype html><html lang="en"><head>{head}<title>.</title></head><body>{shown}</body></html>'
        )
        (tmp_path / "page.html").write_text(page)
        tab = visit(f"page.html{hash}", folder=tmp_path, **options)
        if ready:
            expect(tab.page.locator(f".live.{name}")).to_be_visible()
        return tab

    return show


def drawn(page: Page | Locator) -> None:
    """Wait until what was pressed before is drawn: a figure draws at the browser's next frame."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def state(page: Page) -> Any:
    drawn(page)
    return page.evaluate("({ ...document.querySelector('[data-dmnet-live]').live.state })")


def put(page: Page, **changes: Any) -> None:
    """Change the state, and wait until it is drawn."""
    page.evaluate("(changes) => document.querySelector('[data-dmnet-live]').live.set(changes)", changes)
    drawn(page)


def grid(page: Page | Locator, title: str) -> Locator:
    return page.get_by_role("grid", name=title)


def numbers(page: Page, title: str) -> Tensor:
    """Read a grid as a screen reader does: "row 1, column 2: −0.75"."""
    drawn(page)
    labels = grid(page, title).get_by_role("gridcell").evaluate_all("all => all.map((one) => one.ariaLabel)")
    found = [re.fullmatch(r"row (\d+), column (\d+): (\S+)", label) for label in labels]
    places = [(int(one[1]), int(one[2]), float(one[3].replace("−", "-"))) for one in found if one]
    assert len(places) == len(labels)
    rows, columns = max(place[0] for place in places), max(place[1] for place in places)
    assert [place[:2] for place in places] == [(y + 1, x + 1) for y in range(rows) for x in range(columns)]
    return torch.tensor([place[2] for place in places]).reshape(rows, columns)


def line(page: Page | Locator, title: str, apart: int) -> Tensor:
    """Read a row whose numbers stand so many places apart: "place 4: 15"."""
    drawn(page)
    labels = grid(page, title).get_by_role("gridcell").evaluate_all("all => all.map((one) => one.ariaLabel)")
    found = [label.partition(": ") for label in labels]
    assert [one[0] for one in found] == [f"place {apart * i}" for i in range(len(labels))]
    return torch.tensor([[float(one[2].replace("−", "-")) for one in found]])


def rgba(canvas: Locator) -> Any:
    """The pixels of a canvas, with their opacity, [height, width, 4]."""
    drawn(canvas)
    height, width, numbers = canvas.evaluate(
        """one => {
            const copy = new OffscreenCanvas(one.width, one.height).getContext("2d");
            copy.drawImage(one, 0, 0);
            // Playwright passes text on much quicker than numbers.
            return [one.height, one.width, `[${copy.getImageData(0, 0, one.width, one.height).data.join()}]`];
        }"""
    )
    return np.reshape(json.loads(numbers), (height, width, 4))


def stays(page: Page, states: list[dict[str, Any]], *elements: str) -> None:
    """In all these states each element has one place, and what follows the figure has too."""
    places = set()
    for one in states:
        put(page, **one)
        boxes = page.evaluate(
            """(elements) => elements.map((one) => {
                const { y, height } = document.querySelector(one).getBoundingClientRect();
                return [Math.round(y), Math.round(height)];
            })""",
            [".live", *(f".live {one}" for one in elements)],
        )
        assert all(height > 0 for _, height in boxes)
        places.add((boxes[0][1], *(y for y, _ in boxes[1:])))
    assert len(places) == 1, places


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.00501)  # two digits behind the point


def drag(page: Page, start: Locator, right: float, down: float = 0) -> None:
    box = start.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right / 2, y + down / 2)
    page.mouse.move(x + right, y + down)
    page.mouse.up()


def one_screen(page: Page, first: str, last: str) -> None:
    """What the reader moves and what follows stand on one screen, with some room for the browser's bar."""
    boxes = [page.locator(f".live {one}").first.bounding_box() for one in (first, last)]
    assert boxes[0] and boxes[1]
    height = boxes[1]["y"] + boxes[1]["height"] - boxes[0]["y"]
    assert 0 < height < 780, height
    sizes = page.locator(".live *").evaluate_all(
        """all => all.filter((one) => one.checkVisibility()
                && !one.children.length && /\\d/.test(one.innerText))
            .map((one) => parseFloat(getComputedStyle(one).fontSize))"""
    )
    assert min(sizes) >= 9


def scrolls_not(page: Page, what: Locator) -> None:
    """A finger that goes up on it moves the figure's mark, and not the page."""
    what.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    swipe(page, what, 0, -60)
    assert page.evaluate("scrollY") == before


def swipe(page: Page, start: Locator, right: float, down: float = 0) -> None:
    """The same by a finger."""
    start.scroll_into_view_if_needed()
    box = start.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = page.context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.0), ("touchMove", 0.3), ("touchMove", 0.7), ("touchMove", 1.0)):
        points = [{"x": x + share * right, "y": y + share * down}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def scrolls(page: Page, start: Locator, held: str) -> None:
    """A finger that goes up scrolls the page, and leaves a value of the figure as it was."""
    before, top = state(page)[held], page.evaluate("scrollY")
    swipe(page, start, 3, -200)
    page.wait_for_function("(top) => scrollY > top + 30", arg=top)
    assert state(page)[held] == before


TELEPHONE: Any = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class TestDigits:
    def test_says_what_pytorch_says(self, show: Callable[..., Tab]) -> None:
        tab = show("digits")
        chance = torch.Generator().manual_seed(0)
        for k in (1, 2, 3, 4, 5):
            for w, b in ((1, -1), (-2.5, 0.5)):
                image = torch.randint(0, 10, (6, 6), generator=chance).float()
                rows = ["".join(str(int(digit)) for digit in row) for row in image]
                put(tab.page, image=",".join(rows), k=k, w=w, b=b)
                thumbnail = F.adaptive_avg_pool2d(image[None], k)
                made = w * thumbnail + b
                close(numbers(tab.page, "image"), image)
                close(numbers(tab.page, "thumbnail"), thumbnail[0])
                close(numbers(tab.page, "filter"), made[0])
                response = dynamic_depthwise_conv(image[None, None], made[None])
                close(numbers(tab.page, "response"), response[0, 0])
        assert tab.faults == []

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("digits").page
        drag(page, page.get_by_role("slider", name="w"), 20)
        expect(page.get_by_role("slider", name="w")).to_have_text("2")
        close(numbers(page, "filter"), 2 * numbers(page, "thumbnail") - 1)
        cell = grid(page, "image").get_by_role("gridcell").nth(5)
        drag(page, cell, 70)
        expect(cell).to_have_text("7")
        page.get_by_role("button", name="Reset").click()
        grid(page, "response").get_by_role("gridcell").nth(0).hover()
        # In the corner four digits of the image meet the lower right of the filter.
        expect(page.locator(".sum")).to_have_text("Response, row 1, column 1: 5·0 + 3·(−1) + 4·3 + 4·1 = 13")
        grid(page, "thumbnail").get_by_role("gridcell").nth(0).hover()
        expect(page.locator(".sum")).to_contain_text("average 4. Filter: 1·4 + (−1) = 3")

    @pytest.mark.parametrize("width", [1280, 390])
    def test_nothing_moves_under_the_pointer(self, show: Callable[..., Tab], width: int) -> None:
        page = show("digits", viewport={"width": width, "height": 900}).page
        moved = {"move": "shift", "before": "0" * 6 + ",000000" * 5}
        for states in ([{"k": k} for k in (1, 2, 3, 4, 5)], [{"move": ""}, moved, {"kept": moved["before"]}]):
            first, *others = states
            put(page, **first)
            before = page.get_by_role("button", name="flip").bounding_box()
            for one in others:
                put(page, **one)
                assert page.get_by_role("button", name="flip").bounding_box() == before
        flipped = {"move": "flip", "before": ",".join(row[::-1] for row in ROWS), "kept": ""}
        said = [{"move": ""}, moved, flipped, {"kept": flipped["before"]}]  # shortest to longest verdict
        for k in (3, 4):
            put(page, k=k, kept="")
            stays(page, said, ".flow")

    def test_numbers_fit_their_cells(self, show: Callable[..., Tab]) -> None:
        page = show("digits", **TELEPHONE).page
        for k, w, b in ((5, 3, -3), (4, -2.5, 0.5), (3, -3, -3)):
            put(page, k=k, w=w, b=b)
            wide = (
                grid(page, "response")
                .locator(".number")
                .evaluate_all(
                    """all => all.map((one) => {
                    const words = document.createRange();
                    words.selectNodeContents(one);
                    const part = words.getBoundingClientRect().width / one.getBoundingClientRect().width;
                    return [part, parseFloat(getComputedStyle(one).fontSize)];
                })"""
                )
            )
            assert max(part for part, _ in wide) < 0.92 and min(size for _, size in wide) >= 8

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("digits").page
        page.keyboard.press("Tab")
        page.keyboard.press("2")
        expect(page.get_by_role("slider", name="w")).to_have_attribute("aria-valuenow", "2")
        page.keyboard.press("-")
        expect(page.get_by_role("slider", name="w")).to_have_attribute("aria-valuenow", "-2")
        page.get_by_role("button", name="Reset").click()
        drawn(page)
        page.get_by_role("slider", name="w").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("slider", name="w")).to_have_attribute("aria-valuenow", "1.5")
        page.keyboard.press("Tab")
        page.keyboard.press("Home")
        expect(page.get_by_role("slider", name="b")).to_have_text("−3")
        grid(page, "image").get_by_role("gridcell").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("9")
        expect(grid(page, "image").get_by_role("gridcell").nth(1)).to_have_text("9")
        for _ in range(3):
            page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        expect(page.locator(".aloud")).to_contain_text("Response, row 2, column 1: ")

    def test_answers_the_questions_of_the_chapter(self, show: Callable[..., Tab]) -> None:
        page = show("digits").page
        verdict = page.locator(".verdict")
        page.get_by_role("button", name="flip").click()
        expect(verdict).to_contain_text("all 36 numbers went along. The filter went along, too.")
        expect(verdict).to_have_class("verdict done")
        grid(page, "image").get_by_role("gridcell").nth(8).press("7")
        expect(grid(page, "image").get_by_role("gridcell").nth(8)).to_have_text("7")
        expect(verdict).to_contain_text("After the flip, all 36")  # the digit was flipped, too
        page.get_by_text("static").click()
        expect(verdict).to_contain_text("of 36 numbers did not go along")
        expect(verdict).to_contain_text("not made anew")
        expect(verdict).to_have_class("verdict undone")
        expect(page.locator(".ask")).to_contain_text("times the kept thumbnail")
        assert page.locator(".number.off").count() > 0
        page.get_by_text("dynamic", exact=True).click()
        page.locator(".choice").get_by_text("4", exact=True).click()
        expect(verdict).to_contain_text(
            "did not go along (underlined). Though the filter went along, too: k = 4 is"
        )
        page.get_by_role("button", name="Reset").click()
        page.get_by_role("button", name="crop").click()
        expect(verdict).to_contain_text("taps are others: the bins now divide half of the digits.")
        page.get_by_text("static").click()
        expect(verdict).to_contain_text("all 12 numbers went along. The filter is the same as before.")

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show("digits", hash="#live=digits&w=-2&k=5&image=nonsense").page
        assert state(page)["w"] == 1  # an address that makes no sense is left
        put(page, w=-2, k=5)
        page.wait_for_function("location.hash === '#live=digits&w=-2&k=5'")
        page.reload()
        expect(page.get_by_role("slider", name="w")).to_have_text("−2")
        assert numbers(page, "filter").shape == (5, 5)

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("digits", **TELEPHONE)
        page = tab.page
        swipe(page, page.get_by_role("slider", name="b"), 40)
        expect(page.get_by_role("slider", name="b")).to_have_text("1")
        cell = grid(page, "image").get_by_role("gridcell").nth(2)
        swipe(page, cell, 60)
        expect(cell).to_have_text("6")
        grid(page, "response").get_by_role("gridcell").nth(35).tap()
        expect(page.locator(".sum")).to_contain_text("Response, row 6, column 6")
        fits(page)
        assert tab.faults == []


COLOURS_OF = {"ruby": "blue is cool, orange warm", "jade": "grey is dark, white light"}


class TestVotes:
    def test_says_what_python_says(self, show: Callable[..., Tab]) -> None:
        tab = show("votes")
        for stop, side in enumerate(SIDES):
            put(tab.page, stop=stop, reached=stop)
            for kind, question in zip(ASKS, QUESTIONS["demo_scale"], strict=True):
                names = tab.page.locator(f".coin.{kind}").evaluate_all(
                    "all => all.map((one) => one.ariaLabel)"
                )
                assert [name.endswith("right") for name in names] == window_votes(SCENE, question, side), side
        assert tab.faults == []

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("votes").page
        assert SIDES[state(page)["stop"]] == 16
        scene = page.locator(".scene").bounding_box()
        assert scene
        drag(page, page.locator(".handle"), 20 * scene["width"] / 160)  # so the side grows by 40 pixels
        assert SIDES[state(page)["stop"]] == 56
        assert len((page.locator("polyline.ruby").get_attribute("points") or "").split()) == 7
        page.locator(".coin.ruby").first.click()
        expect(page.locator(".votes > p").nth(2)).to_contain_text("The framed ruby: ")
        expect(page.locator(".coin.chosen")).to_have_count(1)
        scene = page.locator(".scene").bounding_box()
        assert scene
        page.mouse.move(scene["x"] + 4, scene["y"] + 4)  # between coins: the nearest is framed,
        page.mouse.down()
        nearest = min(range(len(COINS)), key=lambda i: np.hypot(COINS[i][2] - 2, COINS[i][3] - 2))
        page.wait_for_function(
            "index => document.querySelectorAll('.coin')[index].ariaChecked === 'true'", arg=nearest
        )
        page.mouse.move(scene["x"] + scene["width"] - 4, scene["y"] + scene["height"] - 4)
        page.mouse.up()
        nearest = min(range(len(COINS)), key=lambda i: np.hypot(COINS[i][2] - 158, COINS[i][3] - 158))
        assert [SIDES[state(page)["stop"]], state(page)["coin"]] == [56, nearest]  # and the side stays
        chart = page.locator(".votes svg").bounding_box()
        assert chart
        page.mouse.click(chart["x"] + 0.96 * chart["width"], chart["y"] + chart["height"] / 2)
        assert SIDES[state(page)["stop"]] == 320

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("votes").page
        page.get_by_role("slider", name="Side of the window").focus()
        page.keyboard.press("End")
        expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", "the whole picture")
        expect(page.locator("svg text.ruby")).to_have_text("rubies 90 %")
        expect(page.locator(".aloud")).to_contain_text("In 100 scenes: rubies 90 %, jades 60 %")
        page.get_by_role("radio", checked=True).focus()
        for key, axis, way in (("Right", 2, 1), ("Down", 3, 1), ("Left", 2, -1), ("Up", 3, -1)):
            before = COINS[state(page)["coin"]][axis]
            page.keyboard.press(f"Arrow{key}")  # to a coin that lies there
            assert way * (COINS[state(page)["coin"]][axis] - before) > 0
        expect(page.locator(".aloud")).to_contain_text(f"The framed {COINS[state(page)['coin']][0]}: ")

    def test_names_stand_beside_the_curves(self, show: Callable[..., Tab]) -> None:
        page = show("votes").page
        for stop in (1, 6, 12, 19, 20):
            put(page, stop=stop, reached=20)
            boxes = page.locator("svg text:is(.ruby, .jade)").evaluate_all(
                "all => all.map((one) => one.getBBox()).map((box) => [box.x, box.y, box.width, box.height])"
            )
            lines = page.locator("polyline").evaluate_all(
                "all => all.map((one) => [...one.points].map(({ x, y }) => [x, y]))"
            )
            for line in lines:
                along, heights = np.transpose(line)
                for x, y, width, height in boxes:
                    beside = np.interp(np.linspace(x, x + width, 30), along, heights)
                    assert ((beside < y) | (beside > y + height)).all()

    def test_a_small_window_is_not_hidden_and_reset_goes_back(self, show: Callable[..., Tab]) -> None:
        page = show("votes").page
        put(page, stop=0, coin=5)
        frame, handle = (page.locator(one).bounding_box() for one in (".framed", ".handle"))
        assert frame and handle
        assert (
            handle["x"] > frame["x"] + frame["width"] / 2 and handle["y"] > frame["y"] + frame["height"] / 2
        )
        expect(page.locator(".scene + .title")).to_contain_text(COLOURS_OF[COINS[5][0]])
        page.get_by_role("button", name="Reset").click()
        expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", "16 pixels")

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("votes", **TELEPHONE)
        swipe(tab.page, tab.page.locator(".handle"), 60, 60)
        assert SIDES[state(tab.page)["stop"]] > 40
        fits(tab.page)
        assert tab.faults == []


def orders(z: dict[tuple[int, ...], Tensor], on: tuple[int, ...]) -> Tensor:
    """What each scale adds, from the definition: the mean over all orders of switching on those that are."""
    added, players = torch.zeros(4, *z[on].shape), [k for k in range(4) if on[k]]
    for order in (every := list(permutations(players))):
        before = [0, 0, 0, 0]
        for k in order:
            after = before.copy()
            after[k] = 1
            added[k] += (z[tuple(after)] - z[tuple(before)]) / len(every)
            before = after
    return added


def shown(page: Page) -> Tensor:
    """The table of the figure: [f, scales, sum; best, rival, difference]; what is off is 0."""
    texts = page.locator(".why tr:has(td.bars)").evaluate_all(
        "all => all.map((row) => [...row.querySelectorAll('td:not(.bars)')].map((one) => one.textContent))"
    )
    return torch.tensor(
        [[0 if text == "off" else float(text.replace("−", "-")) for text in row] for row in texts]
    )


class TestWhy:
    @pytest.mark.parametrize("on", [(1, 1, 1, 1), (1, 1, 1, 0), (0, 1, 0, 1), (0, 0, 0, 0)])
    def test_says_what_python_says(self, show: Callable[..., Tab], on: tuple[int, ...]) -> None:
        tab = show("why")
        exact, dividends, _ = asked()
        sets = torch.stack([sum(dividends[t] for t in range(s + 1) if t & ~s == 0) for s in range(16)])
        logits, names = 0.25 * sets, WORLDS["demo_scale"].classes.names
        torch.testing.assert_close(logits, exact, rtol=0, atol=0.2501)
        wide = F.interpolate(logits, (160, 160), mode="bilinear")
        for _, _, x, y in [*COINS[:3], ("corner", True, 0, 159)]:
            put(tab.page, x=x, y=y, pinned=1, on="".join(map(str, on)))
            z = dict(zip(SUBSETS, wide[:, :, y, x], strict=True))
            rows = torch.stack([z[0, 0, 0, 0], *orders(z, on), z[on]])
            best = int(z[1, 1, 1, 1].argmax())
            rival = names.index(tab.page.locator(".keys :is(.first, .second)").nth(1).inner_text())
            others = z[on].index_fill(0, torch.tensor(best), -torch.inf)
            assert rival != best and others[rival] > others.max() - 1e-3  # one of them, in a tie
            wanted = rows[:, [best, rival]]
            table = (10 * shown(tab.page)).round().int()  # [f, scales, sum; first, second, lead], tenths
            assert torch.equal(table[:5].sum(0), table[5])  # it adds up as it stands, down
            assert torch.equal(table[:, 0] - table[:, 1], table[:, 2])  # and across
            torch.testing.assert_close(table[:, :2] / 10, wanted, rtol=0, atol=0.1001)
            torch.testing.assert_close(table[5, :2] / 10, wanted[5], rtol=0, atol=0.0501)
            on_now = [k for k, there in zip(("1×1", "3×3", "5×5", "7×7"), on, strict=True) if there]
            pair = tab.page.locator(".keys").inner_text()
            assert pair.endswith(f"{names[rival]}, with {', '.join(on_now) or 'no scale'} on") != all(on)
            assert ("as all four say" in pair) == all(on)
            told = tab.page.locator(".verdict").inner_text()
            assert z[on][names.index(told.split(",")[0])] > z[on].max() - 1e-3
            expect(tab.page.locator(".verdict")).to_contain_text(f"Truth: {names[SCENE.mask[y, x]]}.")
        # the whole prediction, pixel by pixel
        palette = WORLDS["demo_scale"].classes.palette
        painted = rgba(tab.page.get_by_label("prediction", exact=True))
        labels = labels_at(logits[SUBSETS.index(on)], (160, 160))
        agree = (painted[..., :3] == palette[labels]).all(2)
        assert agree.mean() > 0.999  # ties are rounded otherwise
        assert tab.faults == []

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("why").page
        for panel in ("prediction", "response of scale 7×7"):  # one crosshair on all maps
            box = page.get_by_label(panel, exact=True).bounding_box()
            assert box
            page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.75)
            expect(page.locator(".whole")).to_have_attribute(
                "style", re.compile(r"--x: (24|25)\..*--y: (74|75)\.")
            )
        page.mouse.down()
        page.mouse.up()
        expect(page.locator(".whole")).to_have_class(re.compile("pinned"))  # and so drawn
        before = shown(page)
        page.get_by_label("prediction", exact=True).hover()  # it stays
        assert torch.equal(shown(page), before)
        three = page.get_by_role("switch", name="Scale 3×3")
        place = three.bounding_box()
        three.click()
        expect(page.locator(".why tr").nth(3)).to_contain_text("off")
        assert three.bounding_box() == place  # it stays under the pointer
        assert not torch.equal(shown(page), before)
        page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.75)
        assert state(page)["pinned"] == 0

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("why").page
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Enter")
        assert state(page) | {"x": 137, "y": 113, "pinned": 1} == state(page)
        expect(page.locator(".aloud")).to_contain_text("Pixel 137, 113, pinned: ")
        for _ in range(4):
            page.keyboard.press("Tab")
        page.keyboard.press("Space")
        expect(page.locator(".aloud")).to_contain_text("7×7 off")
        page.get_by_text("what it adds").click()
        assert state(page)["maps"] == "added"

    def test_bars_have_the_colours_of_their_classes(self, show: Callable[..., Tab]) -> None:
        page, classes = show("why").page, WORLDS["demo_scale"].classes
        for _, _, x, y in COINS[:3]:
            put(page, x=x, y=y, pinned=1)
            for one in ("first", "second"):
                wanted = classes.palette[classes.names.index(page.locator(f".keys .{one}").inner_text())]
                shown = page.locator(f".account .{one}").evaluate_all(
                    """all => all.map((one) =>
                        getComputedStyle(one, one.tagName === "I" ? null : "::before").backgroundColor)"""
                )
                assert shown == [f"rgb({', '.join(map(str, wanted))})"] * 7  # key, column, five bars

    def test_a_switch_leaves_the_colours_scale(self, show: Callable[..., Tab]) -> None:
        page = show("why").page
        scales = []
        for on in ("1111", "1110", "0000"):
            put(page, on=on, maps="added", pinned=1)
            scales.append(re.search(r"darkest: (\S+)\.", page.locator(".whole").inner_text()))
        assert scales[0] and {one and one[1] for one in scales} == {scales[0][1]} and scales[0][1] != "±0"

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show("why", hash="#live=why&x=40&y=50&on=1110&pinned=1").page
        assert state(page) | {"x": 40, "y": 50, "on": "1110", "pinned": 1} == state(page)
        expect(page.get_by_role("switch", name="Scale 7×7")).not_to_be_checked()
        assert state(show("why", hash="#live=why&x=400&on=2").page)["x"] == 141

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("why", **TELEPHONE)
        one_screen(tab.page, ".ask", ".account")
        tab.page.get_by_label("prediction", exact=True).tap()
        assert state(tab.page)["pinned"] == 1 and abs(state(tab.page)["x"] - 80) <= 1
        tab.page.get_by_role("switch", name="Scale 1×1").tap()
        expect(tab.page.locator(".why tr").nth(2)).to_contain_text("off")
        assert state(tab.page)["on"] == "0111"
        swipe(tab.page, tab.page.get_by_label("truth", exact=True), 30)
        assert state(tab.page)["x"] > 100
        scrolls(tab.page, tab.page.get_by_label("prediction", exact=True), "y")
        fits(tab.page)
        assert tab.faults == []

    def test_is_drawn_at_once(self, show: Callable[..., Tab]) -> None:
        took = quickest(
            show("why").page,
            [{"x": x, "on": "1110" if x % 20 else "1111", "maps": "added"} for x in range(20, 140, 10)],
        )
        assert took < 50  # milliseconds, for the dearest change there is; other work may slow some


def read_by(layers: list[list[int]], unit: int, to: int) -> tuple[int, int]:
    """Cells of a map that a unit of the last one reads along one axis, and over how many: by a gradient."""
    length = 512
    for level, _, stride, _ in layers:
        length = -(-length // stride) if level <= to else length
    seen = torch.zeros(1, 1, length, dtype=torch.double, requires_grad=True)
    out = seen
    for level, k, stride, d in layers:
        if level > to:
            box = torch.ones(1, 1, k, dtype=torch.double)
            out = F.conv1d(out, box, stride=stride, padding=d * (k - 1) // 2, dilation=d)
    out[0, 0, unit].backward()
    assert seen.grad is not None
    read = seen.grad[0, 0].nonzero()[:, 0]
    return len(read), int(read[-1] - read[0]) + 1


class TestField:
    @pytest.mark.parametrize(("output_stride", "strides"), [(32, "222"), (16, "221"), (8, "211")])
    def test_says_what_the_network_does(
        self, show: Callable[..., Tab], output_stride: int, strides: str
    ) -> None:
        tab = show("field")
        layers, r, j = resnet(output_stride), 1, 1
        rows: dict[int, list[str]] = {}
        for level, k, stride, d in layers:
            r, j = r + (k - 1) * d * j, stride * j
            rows[level] = [str(d), str(j), str(r)]
        put(tab.page, strides=strides, x=256, y=256)
        texts = tab.page.locator(".field tr:has(td)").evaluate_all(
            "all => all.map((row) => [...row.querySelectorAll('td')].slice(1).map((one) => one.textContent))"
        )
        assert texts == [rows[level] for level in range(5)]
        for to, name in ((-1, "pixels"), (1, "cells of stage 1"), (3, "cells of stage 3")):
            put(tab.page, on=to)
            read, span = read_by(layers, 256 // j, to)
            where = (
                f"{name}, without holes" if read == span else f"of {span} × {span} {name}: there are holes"
            )
            expect(tab.page.locator(".sum")).to_contain_text(f"It reads {read} × {read} {where}.")
        assert tab.faults == []

    def test_repaired_too_early_or_not_at_all(self, show: Callable[..., Tab]) -> None:
        page = show("field").page
        expect(page.locator(".sum")).to_contain_text("11 × 11 cells of stage 3, without holes")
        expect(page.get_by_role("radio", name="too early")).to_be_disabled()  # no stride is gone
        for name in ("stage 3", "stage 4"):
            page.get_by_role("switch", name=f"Stride 2 in {name}").click()
        expect(page.locator("td:has([role=switch])").last).to_have_text("1")
        expect(page.locator(".sum")).to_contain_text("11 × 11 of 21 × 21 cells of stage 3: there are holes")
        expect(page.locator(".sum")).to_contain_text("sees 431 × 431 pixels")  # as before
        page.get_by_text("not repaired").click()
        expect(page.locator(".sum")).to_contain_text("sees 239 × 239 pixels")  # 95 + 8 * (2 * 6 + 2 * 3)
        page.get_by_text("too early").click()
        expect(page.locator(".sum")).to_contain_text("sees 479 × 479 pixels")  # 95 + 8 * (4 * 6 + 8 * 3)

    def test_by_mouse_and_keys(self, show: Callable[..., Tab]) -> None:
        page = show("field").page
        box = page.locator(".scene").bounding_box()
        assert box
        page.mouse.click(box["x"] + 2, box["y"] + 2)
        expect(page.locator(".sum")).to_contain_text(
            "431 × 431 pixels, of which 216 × 216 lie in the picture"
        )
        page.locator("table").get_by_role("radio", name="stage 1").check()
        for name in ("stage 1", "stage 3"):  # it reads of what is before it
            expect(page.locator(".choice").get_by_role("radio", name=name)).to_be_disabled()
        page.locator(".scene").focus()
        before = state(page)["x"]
        page.keyboard.press("ArrowRight")
        assert state(page)["x"] == 4 * round(before / 4) + 4  # a unit of stage 1 further
        expect(page.locator(".aloud")).to_contain_text("Jump of stage 1 4, dilation 1.")

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show("field", hash="#live=field&strides=211&on=3&map=4").page
        expect(page.get_by_role("switch", name="Stride 2 in stage 4")).not_to_be_checked()
        expect(page.locator(".sum")).to_contain_text("there are holes")
        assert state(show("field", hash="#live=field&strides=213").page)["strides"] == "222"

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("field", **TELEPHONE)
        swipe(tab.page, tab.page.locator(".scene"), 60)
        assert state(tab.page)["x"] > 300
        scrolls_not(tab.page, tab.page.locator(".scene"))
        assert state(tab.page)["y"] < 200
        fits(tab.page)
        assert tab.faults == []

    @pytest.mark.parametrize("width", [1280, 390])
    def test_nothing_moves_under_the_pointer(self, show: Callable[..., Tab], width: int) -> None:
        page = show("field", viewport={"width": width, "height": 900}).page
        corners: list[dict[str, Any]] = [{"x": 1, "y": 1}, {"x": 256, "y": 256}, {"x": 500, "y": 30}]
        strides: list[dict[str, Any]] = [
            {"strides": one, "on": on} for one in ("222", "111", "211") for on in (-1, 3)
        ]
        stays(page, [*corners, *strides, *corners], ".scene")


class TestScore:
    def test_says_what_the_confusion_matrix_says(self, show: Callable[..., Tab]) -> None:
        tab = show("score")
        chance = np.random.default_rng(0)
        for said in (SAID, chance.integers(0, 4, SAID.shape), np.zeros_like(SAID)):
            for border, truth in (("out", TRUTH), ("background", np.where(TRUTH == 255, 0, TRUTH))):
                put(tab.page, labels="".join(map(str, said.ravel())), border=border)
                matrix = ConfusionMatrix(4)
                matrix.update(said, truth)
                texts = tab.page.locator(".score tr:has(td)").evaluate_all(
                    "all => all.map((row) => [...row.querySelectorAll('td')].map((one) => one.textContent))"
                )
                assert np.array_equal([[int(text) for text in row[:4]] for row in texts], matrix.counts)
                for row, iou in zip(texts, matrix.iou(), strict=True):
                    if np.isnan(iou):
                        assert row[6] == "–"
                    else:
                        assert float(row[6].removesuffix(" %")) == pytest.approx(100 * iou, abs=0.51)
                        assert int(row[4]) / int(row[5]) == pytest.approx(iou)
                told = re.search(r"mIoU ([\d.]+) %; ([\d.]+) %", tab.page.locator(".sum").inner_text())
                assert told
                assert float(told[1]) == pytest.approx(100 * matrix.miou(), abs=0.51)
                assert float(told[2]) == pytest.approx(100 * (said == truth)[truth < 255].mean(), abs=0.051)
        assert tab.faults == []

    def test_what_is_not_all_right_is_not_called_so(self, show: Callable[..., Tab]) -> None:
        page = show("score").page
        page.get_by_role("button", name="The truth").click()
        labels = state(page)["labels"]
        put(page, labels=("1" if labels[0] == "0" else "0") + labels[1:])
        expect(page.locator(".sum")).not_to_contain_text(" 100 % of the pixels")

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("score").page
        page.locator(".choice").get_by_text("ring").click()
        drag(page, page.get_by_label("your prediction", exact=True), 70)
        labels = state(page)["labels"]
        assert labels != "".join(map(str, SAID.ravel())) and labels.count("3") >= 2
        expect(page.locator(".sum")).to_contain_text("ring: ∩ 0 / ∪ ")
        expect(page.locator(".sum")).to_contain_text(re.compile(r"The last change: −[\d.]+ points of mIoU"))
        page.get_by_role("button", name="Undo").click()
        assert state(page)["labels"] == "".join(map(str, SAID.ravel()))
        page.get_by_role("button", name="The truth").click()
        expect(page.locator(".sum")).to_contain_text("mIoU 100 %; 100 %")

    def test_a_stroke_that_changes_nothing_is_no_change(self, show: Callable[..., Tab]) -> None:
        page = show("score").page
        before = state(page)["labels"]
        page.locator(".choice").get_by_text("ring").click()
        pad = page.get_by_label("Your prediction", exact=False).first
        for _ in range(3):  # the same cell
            pad.click(position={"x": 3, "y": 3})
        assert state(page)["labels"] == "3" + before[1:]
        expect(page.locator(".sum")).to_contain_text("The last change")
        page.get_by_role("button", name="Undo").click()
        assert state(page)["labels"] == before

    def test_on_a_telephone_the_first_stroke_moves_nothing(self, show: Callable[..., Tab]) -> None:
        page = show("score", viewport={"width": 320, "height": 844}, has_touch=True, is_mobile=True).page
        pad = page.get_by_label("Your prediction", exact=False).first
        pad.scroll_into_view_if_needed()
        place = pad.bounding_box()
        pad.tap(position={"x": 3, "y": 3})
        page.locator(".choice").get_by_text("ring").tap()
        pad.tap(position={"x": 3, "y": 3})
        expect(page.locator(".sum")).to_contain_text("The last change")
        assert pad.bounding_box() == place

    def test_what_void_is_read_as_is_a_change_too(self, show: Callable[..., Tab]) -> None:
        page = show("score").page
        drag(page, page.get_by_label("your prediction", exact=True), 70)
        before, said = state(page), page.locator(".sum").inner_text()
        page.get_by_text("read as").click()
        expect(page.locator(".sum")).not_to_have_text(said)
        labels = np.reshape([*map(int, before["labels"])], SAID.shape)
        scores = [ConfusionMatrix(4), ConfusionMatrix(4)]
        scores[0].update(labels, TRUTH)
        scores[1].update(labels, np.where(TRUTH == 255, 0, TRUTH))
        told = re.search(r"The last change: ([+−][\d.]+) points", page.locator(".sum").inner_text())
        assert told
        change = 100 * (scores[1].miou() - scores[0].miou())
        assert float(told[1].replace("−", "-")) == pytest.approx(change, abs=0.051)
        page.get_by_role("button", name="Undo").click()
        assert state(page)["labels"] == before["labels"] and state(page)["border"] == "out"

    def test_the_third_picture_is_in_marks_of_no_class(self, show: Callable[..., Tab]) -> None:
        for scheme in ("light", "dark"):
            page = show("score", color_scheme=scheme).page
            put(page, brush=1)
            asked, said = TRUTH == 1, SAID == 1
            wanted = np.select(
                [TRUTH == 255, asked & said, asked, said], ["void", "both", "true", "said"], "neither"
            )
            marks = page.locator(".marks i")
            assert marks.evaluate_all("all => all.map((one) => one.className)") == [*wanted.ravel()]
            look = "one => ((style) => style.backgroundColor + style.backgroundImage)(getComputedStyle(one))"
            looks = {name: marks.nth([*wanted.ravel()].index(name)).evaluate(look) for name in {*wanted.flat}}
            assert len({*looks.values()}) == len(looks) == 5
            for name, one in looks.items():  # the legend has the same
                assert page.locator(f".hint .swatch.{name}").evaluate(look) == one
            classes = page.locator("th[scope=row] .swatch").evaluate_all(f"all => all.map({look})")
            assert not {*classes} & {*looks.values()}

    def test_a_fast_stroke_has_no_holes(self, show: Callable[..., Tab]) -> None:
        page = show("score").page
        page.get_by_role("button", name="All").click()
        box = page.locator(".own .map").bounding_box()
        assert box
        page.mouse.move(box["x"] + 2, box["y"] + 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2)
        page.mouse.up()
        painted = np.reshape(list(state(page)["labels"]), SAID.shape) != "0"
        assert painted.any(0).all() and painted.any(1).all()
        page.locator(".own .map").focus()
        page.keyboard.press("Control+z")
        assert set(state(page)["labels"]) == {"0"}

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("score").page
        page.locator(".own .map").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        expect(page.locator(".aloud")).to_contain_text("Row 2, column 2: warm, in truth background.")
        page.keyboard.press("2")
        assert state(page)["brush"] == 2

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show("score", hash=f"#live=score&labels={'2' * 18}&brush=2").page
        expect(page.locator(".sum")).to_contain_text("cool: ∩ 2 / ∪ 14")
        assert state(show("score", hash="#live=score&labels=99").page)["labels"].startswith("001111")

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("score", **TELEPHONE)
        tab.page.locator(".choice").get_by_text("cool").tap()
        swipe(tab.page, tab.page.get_by_label("your prediction", exact=True), 60)
        assert state(tab.page)["labels"].count("2") > 5
        fits(tab.page)
        assert tab.faults == []


SYSTEMS = {"demo": "demo_scale", "resnet50": "ssseg_r50_d8_voc", "resnet101": "ssseg_r101_d8_voc"}
PARTS = {"stem": "stages 1–3", "fine": "stages 1–3", "layer4": "stage 4", "coarse": "stage 4"}
PARTS |= {f"layer{n}": "stages 1–3" for n in (1, 2, 3)} | {"scales": "modules", "fuse": "fusion"}
PARTS |= {"classify": "classifier", "auxiliary": "auxiliary head"}


def account(network: str, sizes: list[int], c: int, stride: int, side: int) -> dict[str, list[int]]:
    """Parameters and multiply-adds of each part, as Python counts them."""
    architecture = replace(
        systems.get(SYSTEMS[network]).architecture,
        filter_sizes=tuple(k for k in sizes if k),
        channels=c,
        output_stride=stride,
    )
    counts = counting.parameters(architecture), counting.multiply_adds(architecture, side, side)
    table = {name: [0, 0] for name in (*PARTS.values(), "… convolving", "all")}
    for i, each in enumerate(counts):
        for part, count in counting.by_part(each).items():
            table[PARTS[part]][i] += count
            table["all"][i] += count
        dynamic = (
            n for name, n in each.items() if ".dynamic" in name or re.match(r"head\.scales\.\d\.norm", name)
        )
        table["… convolving"][i] = sum(dynamic)
    return table


class TestPlan:
    @pytest.mark.parametrize(
        ("network", "sizes", "c", "stride", "side"),
        [
            ("demo", [1, 3, 5, 7], 16, 8, 160),
            ("demo", [3, 0, 15, 45], 48, 8, 97),
            ("resnet50", [1, 3, 5, 7], 512, 8, 512),
            ("resnet50", [1, 3, 5, 45], 512, 16, 512),
            ("resnet50", [0, 0, 4, 7], 256, 8, 769),
            ("resnet101", [1, 3, 5, 7], 512, 8, 512),
            ("resnet101", [1, 0, 0, 0], 640, 16, 333),
        ],
    )
    def test_counts_what_python_counts(
        self, show: Callable[..., Tab], network: str, sizes: list[int], c: int, stride: int, side: int
    ) -> None:
        tab = show("plan")
        put(tab.page, network=network, sizes=",".join(map(str, sizes)), c=c, stride=stride, side=side)
        rows = tab.page.locator(".plan tr:has(th[scope=row])").evaluate_all(
            "all => all.map((row) => [...row.children].map((one) => one.title || one.textContent))"
        )
        counts = {name: [int(one) for one in numbers] for name, *numbers in rows}
        assert counts == account(network, sizes, c, stride, side)
        published = [sizes, c, stride, side] == [[1, 3, 5, 7], 512, 8, 512]
        if published:  # what chapter 5 says
            total = {"resnet50": "55.54 M", "resnet101": "74.53 M"}[network]
            expect(tab.page.locator(".plan tr").last).to_contain_text(total)
        plain = published or [sizes, c, side] == [[1, 3, 5, 7], 16, 160]
        expect(tab.page.locator(".sum")).to_contain_text("This is the" if plain else "Against the")
        assert tab.faults == []

    def test_says_how_much_an_input_adds(self, show: Callable[..., Tab]) -> None:
        page = show("plan").page
        for scene, kind in ((0, 2), (1, 6)):
            put(page, scene=scene, **{"class": kind})
            wanted = plan_data()["scenes"][scene]["added"][kind]
            edges = page.locator(".plan .edge")
            texts = [text.replace("−", "-") for text in edges.all_inner_texts()]
            assert [float(text) for text in texts] == wanted
            widths = edges.locator("i").evaluate_all("all => all.map((one) => parseFloat(one.style.width))")
            shares = [30 * abs(one) / sum(map(abs, wanted)) for one in wanted]
            assert widths == pytest.approx(shares, abs=0.51)

    def test_paints_the_maps_and_the_labels(self, show: Callable[..., Tab]) -> None:
        tab = show("plan")

        def painted(box: str) -> Any:
            return rgba(tab.page.locator(f".plan .box.{box} canvas"))[..., :3]

        put(tab.page, scene=1)
        for i in range(4):
            values, colours = plan_data()["scenes"][1]["responses"][i].numpy(), painted(f"scale{i}")
            redness = colours[..., 0] - colours[..., 2]
            assert ((redness > 0) == (values > 0)).all() and redness.shape == (20, 20)
        logits = plan_data()["scenes"][1]["logits"].float()
        palette = WORLDS["demo_scale"].classes.palette
        agree = (painted("labels") == palette[labels_at(logits, (80, 80))]).all(2)
        assert agree.mean() > 0.999  # ties are rounded otherwise
        assert tab.faults == []

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("plan").page
        page.locator(".box.scale1").click()
        expect(page.locator(".box.scale1")).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".inside")).to_contain_text("3×3 averages")
        expect(page.locator(".inside canvas")).to_have_count(6)
        page.locator(".box.f2").click()  # it is the output of stage 4, and a box of its own
        expect(page.locator(".box[aria-pressed=true]")).to_have_class("box f2")
        expect(page.locator(".inside")).to_contain_text("f itself. What stage 4 gave, unchanged")
        expect(page.locator(".inside")).to_contain_text("0 parameters, 0 multiply-adds.")
        expect(page.locator(".inside canvas")).to_have_count(1)
        scale = page.get_by_role("slider", name="k of scale 4")
        scale.scroll_into_view_if_needed()
        drag(page, scale, 40)
        expect(page.locator(".box.scale3")).to_contain_text("k = 11")
        expect(page.locator(".origin").first).to_have_text(
            "Faded: maps and lines of the demo network, k = 1, 3, 5, 7."
        )
        expect(page.locator(".inside")).to_contain_text("Faded: maps of the demo network")
        maps = page.locator(":is(.shown, .inside canvas)")
        for i in range(maps.count()):
            expect(maps.nth(i)).to_have_css("opacity", "0.3")
        expect(page.locator(".sum")).to_contain_text("as many parameters, 534.5 k multiply-adds more (2.5 %)")
        expect(page.locator(".sum")).to_contain_text("In all 37.35 k parameters, ")
        page.locator(".choice").get_by_text("ResNet-50").click()
        expect(page.locator(".box.join")).to_contain_text("4096×")
        page.locator(".choice").get_by_text("16", exact=True).click()
        expect(page.locator(".box.labels")).to_contain_text("512×512")
        expect(page.locator(".box.f")).to_contain_text("32×32")
        page.get_by_role("button", name="Reset").click()
        expect(page.locator(".box.scale3")).to_contain_text("k = 7")
        expect(maps.first).to_have_css("opacity", "1")
        expect(page.locator(".origin").last).to_be_hidden()

    @pytest.mark.parametrize("width", [1280, 390])
    def test_what_opens_is_in_sight_and_moves_nothing(self, show: Callable[..., Tab], width: int) -> None:
        page = show("plan", viewport={"width": width, "height": 900}).page
        networks = [{"network": one} for one in ("resnet50", "demo")]
        dragged = [
            {"sizes": "1,3,5,7"},
            {"sizes": "1,0,5,45"},
            {"c": 1024},
            {"side": 1024},
            {"side": 160, "c": 16},
        ]
        classes = [{"class": one} for one in range(7)]
        stays(page, [*networks, *dragged, *classes], ".box.image", ".settings", "table")
        opened = [{"open": one} for one in ("scale3", "image", "f", "f2", "join", "fuse", "classify")]
        stays(page, opened, ".settings", "table")
        for name in ("image", "labels"):
            page.locator(f".box.{name}").click()
            page.wait_for_timeout(200)
            box = page.locator(".inside").bounding_box()
            assert box and box["y"] >= 0 and box["y"] + box["height"] <= 900

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("plan").page
        page.locator(".box.classify").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".aloud")).to_contain_text("classify: One 1×1 convolution: a map of logits")
        page.get_by_role("slider", name="side of the image").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".box.image")).to_contain_text("192×192")
        page.get_by_role("combobox").select_option("ring")
        expect(page.locator(".aloud")).to_contain_text("For ring: f +17.5, k = 1 +18.5")
        page.get_by_role("slider", name="k of scale 2").focus()
        page.keyboard.press("Home")
        expect(page.locator(".box.scale1")).to_contain_text("left out")

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show("plan", hash="#live=plan&open=fuse&network=resnet50&c=512&stride=16&side=512").page
        expect(page.locator(".inside")).to_contain_text("One 3×3 convolution over all 4096 channels")
        put(page, scene=1)
        page.wait_for_function("location.hash.includes('scene=1')")
        for wrong in ("stride=16", "open=f3", "sizes=1,3", "network=vgg", "c=0"):
            assert state(show("plan", hash=f"#live=plan&scene=1&{wrong}").page)["scene"] == 0

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("plan", **TELEPHONE)
        for kind in ("scale3", "classify"):
            put(tab.page, open=kind)
            one_screen(tab.page, ".chain", ".inside")
        tab.page.locator(".box.fuse").tap()
        expect(tab.page.locator(".inside")).to_contain_text("a sum of five")
        fits(tab.page)
        swipe(tab.page, tab.page.get_by_role("slider", name="C, channels"), 40)
        assert state(tab.page)["c"] == 80
        tab.page.locator(".choice").get_by_text("ResNet-101").tap()
        for kind in ("image", "stage3", "f", "scale3", "join", "classify", "labels"):
            put(tab.page, open=kind)
            fits(tab.page)
        assert tab.faults == []

    def test_is_drawn_at_once(self, show: Callable[..., Tab]) -> None:
        took = quickest(
            show("plan").page,
            [{"scene": scene % 2, "open": "fuse", "network": "resnet101"} for scene in range(10)],
        )
        assert took < 50  # milliseconds, for the dearest change there is; other work may slow some


PRODUCTS = "products"


class TestBuild:
    def test_says_what_pytorch_says(self, show: Callable[..., Tab]) -> None:
        tab = show("build")
        projected, reduced = (one.double() * step for one, step in zip(built(), (0.1, 0.05), strict=True))
        for scene, channel, k in ((0, 0, 7), (1, 0, 7), (1, 2, 5), (0, 1, 3), (1, 1, 1)):
            filters = F.adaptive_avg_pool2d(projected[scene, channel][None], k)
            responses = dynamic_depthwise_conv(reduced[scene, channel][None, None], filters[None])[0, 0]
            edge = F.pad(reduced[scene, channel], (k // 2,) * 4)
            for y, x in ((0, 0), (9, 11), (19, 4)):
                u, v = y % k, x % k
                put(tab.page, scene=scene, channel=channel, k=k, u=u, v=v, y=y, x=x)
                products = filters[0] * edge[y : y + k, x : x + k]
                close(numbers(tab.page, "filter"), filters[0].float())
                close(numbers(tab.page, PRODUCTS), products.float())
                first, second = tab.page.locator(".sum").all_inner_texts()
                taps = 20 * u // k, -(-20 * (u + 1) // k), 20 * v // k, -(-20 * (v + 1) // k)
                cells = projected[scene, channel, taps[0] : taps[1], taps[2] : taps[3]]
                assert f"is the mean of the {cells.numel()} cells" in first
                both = re.search(r": (\S+)\. In (?:our scene|the witness) it is (\S+)\.$", first)
                assert both
                other = projected[1 - scene, channel, taps[0] : taps[1], taps[2] : taps[3]]
                for text, one in zip(both.groups(), (cells, other), strict=True):
                    assert float(text.replace("−", "-")) == pytest.approx(float(one.mean()), abs=0.00501)
                told = re.search(r"response is (\S+), the sum of (\w+) product", second)
                assert told
                assert float(told[1].replace("−", "-")) == pytest.approx(float(responses[y, x]), abs=0.00501)
                inside = F.pad(torch.ones(20, 20), (k // 2,) * 4)[y : y + k, x : x + k].sum()
                assert told[2] == (f"{inside:.0f}" if inside > 1 else "one")
            painted = rgba(tab.page.get_by_label("response", exact=True))
            red, _, blue, _ = painted.transpose(2, 0, 1)
            strong = responses.abs().numpy() > 0.1 * float(responses.abs().max())
            assert ((red > blue) == (responses.numpy() > 0))[strong].all()
        assert tab.faults == []

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("build").page
        lit = page.locator(".lit").first
        grid(page, "filter").get_by_role("gridcell").nth(7 + 2).hover()  # rows 2 to 5, columns 5 to 8 of 20
        expect(lit).to_have_attribute("d", "M5 2h4v4h-4z")
        page.locator(".map").first.hover(position={"x": 3, "y": 3})
        assert state(page) | {"u": 0, "v": 0} == state(page)
        expect(lit).to_have_attribute("d", "M0 0h3v3h-3z")
        page.get_by_role("application").hover(position={"x": 1, "y": 1})
        expect(page.locator(".sum").nth(1)).to_contain_text("At row 1, column 1 the response is ")
        expect(page.locator(".sum").nth(1)).to_contain_text("the sum of 16 products; 33 taps lie outside")
        page.locator(".choice").nth(2).get_by_text("3").click()
        expect(grid(page, "filter").get_by_role("gridcell")).to_have_count(9)
        expect(lit).to_have_attribute("d", "M0 0h7v7h-7z")
        tap, products = (grid(page, name).get_by_role("gridcell") for name in ("filter", PRODUCTS))
        page.get_by_role("application").click(position={"x": 90, "y": 90})
        tap.nth(4).click()
        held_by_clicks = state(page)
        assert held_by_clicks["keptTap"] == held_by_clicks["keptCell"] == 1
        page.get_by_role("application").hover(position={"x": 5, "y": 150})  # what is kept stays
        products.nth(0).hover()
        assert state(page) == held_by_clicks
        products.nth(0).click()  # another tap is kept instead
        assert state(page) == held_by_clicks | {"u": 0, "v": 0}
        products.nth(0).click()
        assert state(page)["keptTap"] == 0
        page.keyboard.press("Escape")
        assert state(page)["keptCell"] == 0
        before = numbers(page, "filter")
        page.locator(".choice").get_by_text("the witness").click()
        expect(page.locator(".map img")).to_have_attribute("src", held(build())["pictures"][1])
        assert not torch.equal(numbers(page, "filter"), before)
        page.get_by_role("button", name="Reset").click()
        expect(grid(page, "filter").get_by_role("gridcell")).to_have_count(49)

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("build").page
        page.get_by_role("application").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".aloud")).to_contain_text("At row 10, column 9 the response is")
        page.keyboard.press("Enter")
        assert state(page)["keptCell"] == 1
        grid(page, "filter").get_by_role("gridcell").first.focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".aloud")).to_contain_text(
            "The tap in row 1, column 2 is the mean of the 12 cells"
        )

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show("build", hash="#live=build&scene=1&k=5&u=4&v=4&x=0").page
        expect(page.locator(".lit").first).to_have_attribute("d", "M16 16h4v4h-4z")
        assert state(page) | {"scene": 1, "x": 0, "y": 8} == state(page)
        assert state(show("build", hash="#live=build&k=3&u=5").page)["k"] == 7  # it has no such tap

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("build", **TELEPHONE)
        grid(tab.page, "filter").get_by_role("gridcell").last.tap()
        assert state(tab.page) | {"u": 6, "v": 6} == state(tab.page)
        before = state(tab.page)["x"]
        swipe(tab.page, tab.page.get_by_role("application"), 40)
        assert state(tab.page)["x"] > before
        down = state(tab.page)["y"]
        scrolls_not(tab.page, tab.page.get_by_role("application"))
        assert state(tab.page)["y"] < down
        for element, told in ((grid(tab.page, "filter"), 0), (tab.page.get_by_role("application"), 1)):
            element.evaluate("one => one.scrollIntoView({ block: 'center' })")
            shown = tab.page.locator(".sum").nth(told).bounding_box()
            assert shown and shown["y"] >= 0 and shown["y"] + shown["height"] <= 844  # in sight
        for name in ("filter", PRODUCTS):
            texts = grid(tab.page, name).get_by_role("gridcell").all_inner_texts()
            told_as = torch.tensor([float(text.replace("−", "-")) for text in texts], dtype=torch.double)
            off = (told_as - numbers(tab.page, name).flatten()).abs()
            assert any(  # all cells are rounded to the same place
                (off < 0.5 / 10**places + 0.0051).all()
                and torch.equal(told_as.round(decimals=places), told_as)
                for places in (0, 1, 2)
            )
        fits(tab.page)
        assert tab.faults == []


TIMES = {"0": 0, "1": 1, "2": 2, "-": -1}


class TestFilters:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"mix": 100},
            {"flat": 100},
            {"turn": 1},
            {"mix": 30, "flat": 60, "turn": 2, "taps": "0" * 20 + "2-" * 5 + "1" * 19},
        ],
    )
    def test_answers_as_the_network_does(self, show: Callable[..., Tab], changes: dict[str, Any]) -> None:
        tab = show("filters")
        _, n, logits = behind_filters()
        put(tab.page, channel=11, **changes)
        own, other = n["filters"].unbind(1)
        wanted = own.lerp(other, changes.get("mix", 0) / 100)
        wanted = wanted.lerp(
            wanted.mean((1, 2), keepdim=True).expand_as(wanted), changes.get("flat", 0) / 100
        )
        wanted = wanted.rot90(-changes.get("turn", 0), (1, 2))
        wanted = wanted * torch.tensor([TIMES[one] for one in changes.get("taps", "1" * 49)]).reshape(7, 7)
        close(numbers(tab.page, "7 × 7 filter"), wanted[11])
        labels = answer_with(wanted)
        palette = WORLDS["demo_scale"].classes.palette
        painted = rgba(tab.page.get_by_label("answer", exact=True))
        same = (painted[..., :3] == palette[labels]).all(2)
        assert same.mean() > 0.999  # ties are rounded otherwise
        if not changes:
            assert (labels == labels_at(logits, (160, 160))).mean() > 0.995
        first = answer_with(own)
        at = [(round(one.y), round(one.x), one.label) for one in SCENE.objects]
        renamed = sum(labels[y, x] != first[y, x] for y, x, _ in at)
        right = [sum(labels[y, x] == k for y, x, k in at if k in kinds) for kinds in ((1, 2), (3, 4))]
        others = sum(labels[y, x] == k for y, x, k in at if k > 4)
        text = tab.page.locator(".sum").inner_text()
        assert f"Right: rubies {right[0]} of " in text and f", jades {right[1]} of " in text
        turned = [(k, labels[y, x], first[y, x]) for y, x, k in at if labels[y, x] != first[y, x]]
        was, now = sum(k == old for k, _, old in turned), sum(k == new for k, new, _ in turned)
        told = f"{renamed}; of them {was} right before, {now} now." if renamed else "0."
        assert text.endswith(f"Renamed (ringed): {told}")
        before = [sum(first[y, x] == k for y, x, k in at if k in kinds) for kinds in ((1, 2), (3, 4), (5, 6))]
        assert f"with the scene's own filters {', '.join(map(str, before))}." in text
        assert sum(right) + others == sum(before) - was + now  # so the counts and the renamed agree
        assert tab.page.locator(".ring:visible").count() == 2 * renamed
        assert tab.page.locator(".cross:visible").count() == 2 * (len(at) - sum(right) - others)
        moved = re.search(r"moved by ([\d.]+) %", text)
        assert moved
        assert float(moved[1]) == pytest.approx(100 * float((wanted - own).norm() / own.norm()), abs=0.51)
        assert tab.faults == []

    @pytest.mark.parametrize("width", [1280, 390])
    def test_what_it_says_moves_nothing(self, show: Callable[..., Tab], width: int) -> None:
        page = show("filters", viewport={"width": width, "height": 900}).page
        stays(page, [{"mix": mix} for mix in (0, 30, 60, 100)], ".controls")

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("filters").page
        drag(page, grid(page, "7 × 7 filter").get_by_role("gridcell").nth(0), 70)
        taps = state(page)["taps"]
        assert taps[:3] == "000" and taps.count("1") > 40
        assert numbers(page, "7 × 7 filter")[0, :3].tolist() == [0, 0, 0]
        page.get_by_text("180°").click()
        page.get_by_role("slider", name="flattened").fill("100")
        expect(page.locator(".slide output").nth(1)).to_have_text("100 %")
        page.get_by_role("group", name="channel").get_by_text("11", exact=True).click()
        assert state(page) | {"flat": 100, "turn": 2, "channel": 11} == state(page)
        page.get_by_role("button", name="Reset").click()
        expect(page.locator(".sum")).to_contain_text("The filters moved by 0 % of their norm.")
        assert state(page) == state(show("filters").page)  # all of it

    def test_flattened_keeps_the_mean_and_is_not_off(self, show: Callable[..., Tab]) -> None:
        page = show("filters").page
        mean = float(behind_filters()[1]["filters"][2, 0].mean())
        assert abs(mean) > 0.5  # else the two would look alike
        for flat in (0, 100):
            put(page, channel=2, flat=flat)
            told = page.get_by_text("Mean of the taps: ").inner_text().removeprefix("Mean of the taps: ")
            assert float(told.replace("−", "-")) == pytest.approx(mean, abs=0.0051)
        close(numbers(page, "7 × 7 filter"), torch.full((7, 7), mean))
        put(page, taps="0" * 49)
        expect(page.get_by_text("Mean of the taps: 0", exact=True)).to_be_visible()
        expect(page.locator(".slide")).to_contain_text(["another scene's", "only their means stay"])

    def test_a_channel_keeps_its_colour_scale(self, show: Callable[..., Tab]) -> None:
        page = show("filters").page
        both = behind_filters()[1]["filters"]  # [C, 2, 7, 7]: of this scene and of the lender
        for changes in ({}, {"flat": 100}, {"mix": 100, "taps": "2" * 49}):
            put(page, channel=11, **{"mix": 0, "flat": 0, "taps": "1" * 49} | changes)
            shown = numbers(page, "7 × 7 filter").abs()
            tints = (
                grid(page, "7 × 7 filter")
                .get_by_role("gridcell")
                .evaluate_all("all => all.map((one) => Number(one.style.getPropertyValue('--tint')))")
            )
            close(
                both[11].abs().max() * torch.tensor(tints).reshape(7, 7),
                shown.clamp(max=both[11].abs().max()),
            )

    def test_what_is_beyond_the_colour_scale_is_framed(self, show: Callable[..., Tab]) -> None:
        page = show("filters").page
        cells = grid(page, "7 × 7 filter").get_by_role("gridcell")
        most = float(behind_filters()[1]["filters"][11].abs().max())
        for taps in ("1" * 49, "-" * 49, "2" * 49):
            put(page, channel=11, taps=taps)
            wanted = (numbers(page, "7 × 7 filter").abs() > most + 0.005).flatten().tolist()
            framed = cells.evaluate_all(
                "all => all.map((one) => getComputedStyle(one).boxShadow.includes('inset'))"
            )
            assert framed == wanted and any(wanted) == (taps[0] == "2")
        expect(page.get_by_text("beyond", exact=True)).to_have_css("box-shadow", re.compile("inset"))

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("filters").page
        page.get_by_text("× −1", exact=True).click()
        expect(page.get_by_text("Paint: drag over the taps (brush: × −1)")).to_be_visible()
        before = numbers(page, "7 × 7 filter")
        grid(page, "7 × 7 filter").get_by_role("gridcell").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        page.keyboard.press("Enter")  # painted is painted
        assert state(page)["taps"] == "1" * 7 + "-" + "1" * 41
        assert numbers(page, "7 × 7 filter")[1, 0] == -before[1, 0]
        page.get_by_role("slider", name="mixed").focus()
        page.keyboard.press("ArrowRight")
        assert state(page)["mix"] == 1
        expect(page.locator(".aloud")).to_contain_text("The filters moved by")

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show("filters", hash="#live=filters&turn=3&mix=40").page
        expect(page.get_by_role("radio", name="270°")).to_be_checked()
        assert state(page) | {"turn": 3, "mix": 40} == state(page)
        assert state(show("filters", hash="#live=filters&taps=13&turn=1").page)["turn"] == 0

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("filters", **TELEPHONE)
        one_screen(tab.page, ".ask", ".controls")
        tab.page.get_by_text("90°", exact=True).tap()
        expect(tab.page.get_by_role("radio", name="90°")).to_be_checked()
        swipe(tab.page, grid(tab.page, "7 × 7 filter").get_by_role("gridcell").nth(14), 60, 40)
        assert state(tab.page)["taps"].count("0") >= 3
        fits(tab.page)
        assert tab.faults == []

    def test_is_drawn_at_once(self, show: Callable[..., Tab]) -> None:
        took = quickest(show("filters").page, [{"mix": mix} for mix in range(5, 80, 5)])
        assert took < 50  # milliseconds; other work may slow some


def conv(line: Tensor, weights: list[int], stride: int, dilation: int) -> Tensor:
    kernel = torch.tensor([[weights]]).float()
    return F.conv1d(line[None], kernel, stride=stride, padding=dilation, dilation=dilation)[0]


class TestHoles:
    @pytest.mark.parametrize("weights", [[1, 1, 1], [-3, 2, 0], [0, 0, 0]])
    def test_says_what_pytorch_says(self, show: Callable[..., Tab], weights: list[int]) -> None:
        tab = show("holes")
        chance = torch.Generator().manual_seed(0)
        left, middle, right = weights
        for stride, dilation in ((2, 1), (2, 2), (3, 3), (3, 2), (1, 1)):
            pixels = torch.randint(0, 10, (1, 7), generator=chance).float()
            kernel = {"left": left, "middle": middle, "right": right}
            digits = "".join(str(int(digit)) for digit in pixels[0])
            put(tab.page, digits=digits, stride=stride, dilation=dilation, **kernel)
            first = conv(pixels, weights, stride, 1), conv(pixels, weights, 1, 1)
            old, dense = conv(first[0], weights, 1, 1), conv(first[1], weights, 1, dilation)
            for name, apart, layers in (("with", stride, (first[0], old)), ("without", 1, (first[1], dense))):
                group: Any = tab.page.get_by_role("group", name=re.compile(f"^{name} "))
                close(line(group, "pixels", 1), pixels)
                close(line(group, "layer 1", apart), layers[0])
                close(line(group, "layer 2", apart), layers[1])
            back = int((dense[:, ::stride] == old).sum())
            assert stride != dilation or back == old.numel()
            told = f"{back} of the {old.numel()} numbers of the network with stride {stride} stand"
            expect(tab.page.locator(".verdict")).to_contain_text(told)
            for group in tab.page.get_by_role("group", name=re.compile("stride")).all():
                if group.locator(".places").count():  # both networks mark the same places
                    assert group.locator(".number.back").count() == back
                    assert group.locator(".number.off").count() == old.numel() - back
        assert tab.faults == []

    def test_shows_what_a_number_reads(self, show: Callable[..., Tab]) -> None:
        """Lit are the places that a gradient reaches."""
        page = show("holes").page
        for net, stride, dilation, place in (
            ("dense", 2, 1, 2), ("dense", 2, 2, 3), ("dense", 3, 3, 0), ("old", 2, 1, 2), ("old", 3, 1, 6),
        ):  # fmt: skip
            put(page, net=net, stride=stride, dilation=dilation, place=place)
            pixels = torch.ones(1, 7, requires_grad=True)
            now = stride if net == "old" else 1
            first = conv(pixels, [1, 1, 1], now, 1)
            first.retain_grad()
            conv(first, [1, 1, 1], 1, 1 if net == "old" else dilation)[0, place // now].backward()
            group: Any = page.get_by_role("group", name=re.compile("^with " if net == "old" else "^without "))
            for title, layer in (("pixels", pixels), ("layer 1", first)):
                assert layer.grad is not None
                cells = grid(group, title).get_by_role("gridcell")
                lit = cells.evaluate_all("all => all.map((one) => one.classList.contains('lit'))")
                assert lit == (layer.grad[0] > 0).tolist()
            assert pixels.grad is not None
            wide, reached = torch.ones(1, 21, requires_grad=True), int((pixels.grad > 0).sum())
            apart = 1 if net == "old" else dilation
            conv(conv(wide, [1, 1, 1], now, 1), [1, 1, 1], 1, apart)[0, 9 // now].backward()
            assert wide.grad is not None  # far from the ends
            count = int((wide.grad > 0).sum())
            cut = f"; of these, {reached} lie within the ends" if reached < count else ""
            expect(page.locator(".sum")).to_contain_text(f"Such a unit sees {count} pixels{cut}.")
            assert page.locator(".lit").count() == int((pixels.grad > 0).sum() + (first.grad > 0).sum())

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("holes").page
        expect(page.locator(".sum")).to_contain_text("1·8 + 1·6 + 1·10 = 24. Such a unit sees 5 pixels.")
        page.get_by_role("group", name="dilation of layer 2").get_by_role("radio").nth(1).check()
        expect(page.locator(".sum")).to_contain_text("1·4 + 1·6 + 1·15 = 25")
        page.get_by_role("group", name="with stride 2").get_by_role("gridcell").last.hover()
        told = "Layer 2, place 6, with stride 2: 1·15 + 1·11 + zeros beyond the end = 26."
        expect(page.locator(".sum")).to_have_text(
            f"{told} Such a unit sees 7 pixels; of these, 4 lie within the ends."
        )
        drag(page, page.get_by_role("slider", name="weight, left"), -20)
        expect(page.locator(".sum")).to_contain_text("(−1)·")
        drag(page, grid(page, "pixels").first.get_by_role("gridcell").nth(1), 50)
        assert state(page)["digits"] == "3641592"
        page.get_by_role("button", name="Reset").click()
        assert state(page) | {"digits": "3141592", "left": 1, "dilation": 1} == state(page)

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("holes").page
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        assert state(page)["left"] == 2
        grid(page, "pixels").last.get_by_role("gridcell").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("8")
        assert state(page)["digits"] == "3841592"
        page.get_by_role("group", name="with stride 2").get_by_role("gridcell").last.focus()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".aloud")).to_contain_text("Layer 2, place 4, with stride 2: ")
        page.get_by_role("radio", checked=True).first.focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".aloud")).to_contain_text("of the 3 numbers of the network with stride 3")

    @pytest.mark.parametrize("width", [1280, 390])
    def test_nothing_moves_under_the_pointer(self, show: Callable[..., Tab], width: int) -> None:
        page = show("holes", viewport={"width": width, "height": 900}).page
        weights = {"left": -2, "middle": -3, "right": -3}
        places = [
            {"net": net, "layer": layer, "place": i}
            for net in ("old", "dense")
            for layer in (1, 2)
            for i in (0, 2, 6)
        ]
        stays(page, [*places, *({"dilation": d} for d in (1, 2, 3)), weights, *places], ".net")

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show(
            "holes", hash="#live=holes&digits=0000000&stride=3&dilation=3&net=old&layer=1&place=5"
        ).page
        expect(page.locator(".sum")).to_contain_text("Layer 1, place 3, with stride 3")
        for wrong in ("digits=12", "stride=4", "left=0.5", "layer=0", "place=7", "net=new"):
            assert state(show("holes", hash=f"#live=holes&dilation=2&{wrong}").page)["dilation"] == 1

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("holes", **TELEPHONE)
        swipe(tab.page, grid(tab.page, "pixels").first.get_by_role("gridcell").first, 30)
        assert state(tab.page)["digits"].startswith("6")
        tab.page.get_by_role("group", name="without").get_by_role("gridcell").last.tap()
        expect(tab.page.locator(".sum")).to_contain_text("Layer 2, place 6, without the stride")
        swipe(tab.page, tab.page.get_by_role("slider", name="weight, right"), -30)
        assert state(tab.page)["right"] == -2
        fits(tab.page)
        assert tab.faults == []

    def test_is_drawn_at_once(self, show: Callable[..., Tab]) -> None:
        took = quickest(show("holes").page, [{"place": i % 7, "dilation": 1 + i % 3} for i in range(12)])
        assert took < 50  # milliseconds; other work may slow some


class TestWindow:
    @pytest.mark.parametrize("width", [1280, 390])
    def test_the_line_lies_on_the_scene(self, show: Callable[..., Tab], width: int) -> None:
        page = show("window", viewport={"width": width, "height": 844}).page
        lines, scene = (page.locator(f".scene {one}").bounding_box() for one in ("canvas", "img"))
        assert lines and scene
        assert list(lines.values()) == pytest.approx(list(scene.values()), abs=1)

    @pytest.mark.parametrize("whose", ["own", "lent"])
    def test_says_what_the_network_says(self, show: Callable[..., Tab], whose: str) -> None:
        tab, found = show("window"), windowed()
        palette, filters = WORLDS["demo_scale"].classes.palette, found["taps"]
        for i, (top, left) in enumerate(found["corners"]):
            put(tab.page, row=top // STEP, column=left // STEP, whose=whose)
            place = np.s_[top : top + SIDE, left : left + SIDE]
            before, now = found["whole"][place], found[whose][i]
            hatched = rgba(tab.page.locator(".map .edges"))
            drawn = hatched[..., 3] > 0
            assert (now != before)[drawn].all() and drawn.any() == (now != before).any()
            assert (hatched[drawn][:, :3] < 50).all()  # white is the frame of the window alone
            maps = {"truth in the window": SCENE.mask[place], "labels from the whole picture": before}
            for name, labels in (maps | {"labels from the window": now}).items():
                seen = labels < 255
                assert (pixels(tab.page, name)[seen] == palette[labels[seen]]).all()
            used = filters[i] if whose == "own" else filters[-1]
            colours = pixels(tab.page, "filter of the window").astype(int)
            strong = (used.abs() > 0.05 * filters.abs().max()).numpy()
            assert ((colours[..., 0] > colours[..., 2]) == (used.numpy() > 0))[strong].all()
            title = tab.page.locator(".panel .title").nth(2).inner_text()
            mean = re.fullmatch(rf"{'in the window' if whose == 'own' else 'lent'}: mean (\S+)", title)
            assert mean
            assert float(mean[1].replace("−", "-")) == pytest.approx(float(used.mean()), abs=0.02)
            text = tab.page.locator(".sum").inner_text()
            assert f"Of the 4096 pixels {(now != before).sum()} get another name" in text
            warm = SCENE.truth["warm_side"]
            shares = [percent(one) for one in (warm[place].mean(), warm.mean())]
            assert f"Of the window {shares[0]} is warm, of the scene {shares[1]}." in text
            coins = [(round(one.y) - top, round(one.x) - left, one.label) for one in SCENE.objects]
            coins = [one for one in coins if 0 <= min(one[:2]) <= max(one[:2]) < SIDE]
            for kind, kinds in (("rubies", (1, 2)), ("jades", (3, 4))):
                asked = [one for one in coins if one[2] in kinds]
                right = [sum(labels[y, x] == k for y, x, k in asked) for labels in (now, before)]
                told = f"{kind} {right[1]} → {right[0]} of {len(asked)}"
                assert (told if asked else f"no {kind}") in text
        border = rgba(tab.page.locator(".scene .edges"))
        drawn, warm = border[..., 3] > 0, SCENE.truth["warm_side"]
        assert ((border[..., 0] < 100) == warm)[drawn].all() and 100 < drawn.sum() < 2000
        across = warm[:, 1:] != warm[:, :-1]
        assert drawn[:, 1:][across].all() and drawn[:, :-1][across].all()
        assert tab.faults == []

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("window").page
        scene = page.locator(".scene").bounding_box()
        assert scene
        drag(page, page.locator(".framed"), 34 * scene["width"] / 160, -30 * scene["width"] / 160)
        assert state(page) | {"row": 0, "column": 2} == state(page)
        page.mouse.click(scene["x"] + 3, scene["y"] + scene["height"] - 3)
        assert state(page) | {"row": 3, "column": 0} == state(page)
        page.get_by_text("the whole picture's").click()
        expect(page.locator(".panel .title").nth(2)).to_contain_text("lent: mean")
        page.get_by_role("button", name="Reset").click()
        assert state(page) == {"row": 1, "column": 1, "whose": "own"}

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("window").page
        page.get_by_role("application").focus()
        for key in ("ArrowLeft", "ArrowLeft", "ArrowDown"):
            page.keyboard.press(key)
        assert state(page) | {"row": 2, "column": 0} == state(page)
        expect(page.locator(".aloud")).to_contain_text("Window from row 65, column 1, with its own filters.")
        page.get_by_role("radio", checked=True).focus()
        page.keyboard.press("ArrowRight")
        assert state(page)["whose"] == "lent"

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show("window", hash="#live=window&row=3&column=0&whose=lent").page
        expect(page.get_by_role("radio", name="the whole picture's")).to_be_checked()
        assert state(page) == {"row": 3, "column": 0, "whose": "lent"}
        for wrong in ("row=4", "row=0.5", "whose=mine"):
            assert state(show("window", hash=f"#live=window&column=3&{wrong}").page)["column"] == 1

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("window", **TELEPHONE)
        one_screen(tab.page, ".ask", ".sum")
        swipe(tab.page, tab.page.locator(".framed"), 70, 70)
        assert state(tab.page)["row"] > 1 and state(tab.page)["column"] > 1
        fits(tab.page)
        assert tab.faults == []

    def test_is_drawn_at_once(self, show: Callable[..., Tab]) -> None:
        took = quickest(show("window").page, [{"row": i % 4, "column": i // 4} for i in range(16)])
        assert took < 50  # milliseconds; other work may slow some


def pixels(page: Page, name: str) -> Any:
    return rgba(page.get_by_label(name, exact=True))[..., :3]


def percent(share: float | None) -> str:
    """A share as the page says it: with a decimal below ten per cent."""
    return "–" if share is None else f"{100 * share:.{int(0 < share < 0.0995)}f} %"


def curve(page: Page, kind: str) -> Tensor:
    """The points of a line, [N, 2]: across and down."""
    text = page.locator(f"polyline.{kind}").last.get_attribute("points") or ""
    return torch.tensor([[float(one) for one in point.split(",")] for point in text.split()])


def painted(page: Page) -> list[Any]:
    """What the canvases show, [side, side, 3] each."""
    return [rgba(one)[..., :3] for one in page.locator(".tiles canvas").all()]


class TestTraining:
    def test_shows_what_python_has(self, show: Callable[..., Tab]) -> None:
        tab = show("training")
        palette = WORLDS["demo_context"].classes.palette
        for seed, look in ((0, 0), (0, 2), (2, 1), (1, 2)):
            put(tab.page, seed=seed, look=look)
            run = followed(seed)
            expect(
                tab.page.get_by_text(f"Seed {seed}, after {20 * look + 20} of 60 iterations.")
            ).to_be_visible()
            told = "\n".join(tab.page.locator("text.name").all_text_contents())
            gem, quilt, miou = (percent(run["scores"][kind][look]) for kind in ("gem", "quilt", "mIoU"))
            assert f"Right: — quilt {quilt}, - - gem {gem}. — mIoU {miou}." in told
            found = re.search(r"Loss: (\S+), mean of 20(?s:.*) warm (\S+), - - cool (\S+)\.", told)
            assert found
            values = run["filters"][look].astype(float)
            wanted = [run["loss"][20 * look :][:20].mean(), *(run["step"] * values.mean((1, 2)))]
            close(
                torch.tensor([float(one.replace("−", "-")) for one in found.groups()]),
                torch.tensor(wanted).float(),
            )
            titles = tab.page.locator(".tiles .title").all_inner_texts()
            assert [titles[2], titles[6]] == [f"{percent(run['right'][s][look])} right" for s in (0, 1)]
            tab.page.wait_for_function("document.querySelector('.tiles canvas').width === 16")
            for s, (labels, filter) in enumerate(zip(*[iter(painted(tab.page))] * 2, strict=True)):
                assert (labels == palette[np.array(run["labels"])[look, s]]).all()
                strong = abs(values[s]) > 12
                assert ((filter[..., 0] > filter[..., 2]) == (values[s] > 0))[strong].all()
        assert tab.faults == []

    def test_curves_and_schedule_are_those_of_python(self, show: Callable[..., Tab]) -> None:
        page = show("training").page
        put(page, look=1, rate=0.12, power=2.5, warmup=20)
        yours = replace(RUN, learning_rate=0.12, power=2.5, warmup=20)
        rates = [[learning_rate(one, t, 60) for t in range(60)] for one in (RUN, yours)]
        steps, near = torch.arange(1, 61), {"rtol": 0, "atol": 0.06}  # a tenth of a pixel
        across = 36 + 310 * steps / 60
        wanted = torch.stack([across, 370 - 54 * torch.tensor(rates[1]) / 0.16], 1)
        torch.testing.assert_close(curve(page, "dragged"), wanted, **near)
        quilt = torch.tensor(followed(0)["scores"]["quilt"][1:])
        torch.testing.assert_close(curve(page, "quilt")[:, 1], 194 - 76 * quilt, **near)
        now = [f"{round(one[39], 4):g}" for one in rates]
        expect(page.locator("text.name").last).to_have_text(f"Learning rate: — {now[0]}, - - yours {now[1]}.")
        share = percent(sum(rates[1]) / sum(rates[0]))
        expect(page.locator(".schedule")).to_contain_text(f"learning rates is {share} of the recipe's")
        expect(page.locator("code")).to_contain_text("learning_rate=0.12 --set power=2.5 --set warmup=20")

    def test_other_runs_are_loaded_when_they_are_asked_for(self, show: Callable[..., Tab]) -> None:
        tab = show("training")
        page, place = tab.page, tab.page.locator("[data-later]")
        text = place.text_content() or ""
        place.evaluate("one => { one.dataset.file = 'gone.json'; one.text = ''; }")
        page.route("**/gone.json", lambda route: route.abort())
        page.locator(".choice").get_by_text("1").click()
        expect(page.get_by_text("The other runs could not be loaded.").first).to_be_visible()
        page.unroute("**/gone.json")
        page.route("**/gone.json", lambda route: route.fulfill(body=text))
        page.locator(".choice").get_by_text("2").click()
        expect(page.get_by_text("Seed 2, after 20 of 60 iterations").first).to_be_visible()
        assert json.loads(text)["1"]["channel"] == 4

    def test_by_mouse(self, show: Callable[..., Tab]) -> None:
        page = show("training").page
        before = painted(page)
        slider = page.get_by_role("slider", name="Iteration")
        slider.scroll_into_view_if_needed()
        drag(page, slider, 400)
        assert state(page)["look"] == 2 and not (painted(page)[1] == before[1]).all()
        power = page.get_by_role("slider", name="power")
        power.scroll_into_view_if_needed()
        drag(page, power, 30)
        expect(power).to_have_text("1.2")
        page.get_by_role("button", name="Reset").click()
        expect(page.get_by_text("after 20 of 60").first).to_be_visible()
        assert state(page) | {"power": 0.9, "seed": 0} == state(page)

    def test_a_seed_has_its_axes_whichever_was_seen_before(self, show: Callable[..., Tab]) -> None:
        page = show("training").page
        axes = page.locator(".training svg text:not(.name)")
        seen: dict[int, list[str]] = {}
        for seed in (0, 2, 1, 0, 1, 2):
            page.locator(".choice").get_by_text(str(seed)).click()
            expect(page.get_by_text(f"Seed {seed}, after 20 of 60 iterations").first).to_be_visible()
            assert axes.all_text_contents() == seen.setdefault(seed, axes.all_text_contents())
            assert seen[seed][-3:] == ["0", "iterations", "60"]
            mean = abs(followed(seed)["step"] * followed(seed)["filters"].mean((2, 3))).max()
            assert float(seen[seed][8]) == np.ceil(2 * mean) / 2
            for kind, top, height in (("loss", 22, 62), ("warm", 228, 54), ("cool", 228, 54)):
                across, down = curve(page, kind).T
                assert across[-1] == 346 and down.min() >= top and down.max() <= top + height

    def test_the_legend_is_not_of_colours_alone(self, show: Callable[..., Tab]) -> None:
        page = show("training").page
        put(page, power=2)  # so that there is a schedule of one's own
        found = page.locator(".training svg tspan").evaluate_all(
            """all => all.map((one) => {
                const name = one.getAttribute("class");
                const line = document.querySelector(`.training polyline.${name}`);
                return [name, one.textContent.trim(), getComputedStyle(line).strokeDasharray !== "none"];
            })"""
        )
        assert {name for name, _, dashed in found if dashed} == {"gem", "cool", "dragged"}
        assert all((text == "- -") == dashed for _, text, dashed in found) and len(found) == 7

    def test_by_keys(self, show: Callable[..., Tab]) -> None:
        page = show("training").page
        slider = page.get_by_role("slider", name="Iteration")
        slider.focus()
        page.keyboard.press("ArrowRight")
        expect(slider).to_have_attribute("aria-valuetext", "40")
        expect(page.locator(".aloud")).to_contain_text("Seed 0, after 40 of 60 iterations. Loss:")
        page.locator(".training svg").click(position={"x": 3, "y": 60})  # a chart is the slider too
        assert state(page)["look"] == 0
        page.get_by_role("slider", name="base rate").focus()
        page.keyboard.press("End")
        expect(page.locator("code")).to_contain_text("learning_rate=0.16")
        page.keyboard.type("0.05")
        expect(page.locator("code")).to_contain_text("learning_rate=0.05")
        page.get_by_role("slider", name="power").focus()
        page.keyboard.type("1,5")
        expect(page.locator("code")).to_contain_text("power=1.5")

    def test_the_address_holds_it(self, show: Callable[..., Tab]) -> None:
        page = show("training", hash="#live=training&seed=2&look=1&warmup=0").page
        expect(page.get_by_text("Seed 2, after 40 of 60 iterations").first).to_be_visible()
        assert state(page)["warmup"] == 0
        for wrong in ("seed=7", "look=3", "power=9"):
            assert state(show("training", hash=f"#live=training&warmup=0&{wrong}").page)["warmup"] == 10

    def test_by_touch_on_a_telephone(self, show: Callable[..., Tab]) -> None:
        tab = show("training", **TELEPHONE)
        tab.page.get_by_role("slider", name="Iteration").tap()
        assert state(tab.page)["look"] == 1
        scrolls(tab.page, tab.page.locator(".training svg"), "look")
        swipe(tab.page, tab.page.get_by_role("slider", name="warm-up"), 20)
        assert state(tab.page)["warmup"] == 30
        fits(tab.page)
        assert tab.faults == []

    def test_is_drawn_at_once(self, show: Callable[..., Tab]) -> None:
        took = quickest(show("training").page, [{"look": i % 3, "warmup": i} for i in range(12)])
        assert took < 50  # milliseconds; other work may slow some


def quickest(page: Page, states: list[dict[str, Any]]) -> float:
    """Give the figure one state after the other; return the least milliseconds until one was drawn."""
    took: float = page.evaluate(
        """async (states) => {
            const { live } = document.querySelector("[data-dmnet-live]");
            const times = [];
            for (const state of states) {
                const start = performance.now();
                live.set(state);
                await new Promise(requestAnimationFrame);
                await new Promise((done) => { setTimeout(done); });
                times.push(performance.now() - start);
            }
            return Math.min(...times);
        }""",
        states,
    )
    return took


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["digits", "plan", "training"])
class TestNumbersThatAreTyped:
    """The same in every figure: what is typed, how that ends, and what is said of what cannot be."""

    FIELD: ClassVar = {  # label, one that holds, another, one too large, the largest, where they stand
        "digits": ("w", "2", "0.5", "40", "3", "w"),
        "plan": ("C, channels", "512", "64", "5000", "1024", "c"),
        "training": ("warm-up", "20", "10", "400", "30", "warmup"),
    }

    def test_enter_ends_it(self, show: Callable[..., Tab], name: str) -> None:
        label, one, other, *_, key = self.FIELD[name]
        page = show(name).page
        number = page.get_by_role("slider", name=label).first
        number.focus()
        for text in (one, other):
            page.keyboard.type(text)
            expect(number).to_have_text(text)
            expect(number).to_have_css("border-bottom-style", "solid")
            page.keyboard.press("Enter")
            expect(number).to_have_attribute("aria-valuenow", text)
            assert state(page)[key] == float(text)
        page.keyboard.type(one)
        page.keyboard.press("Tab")  # so does who leaves
        assert state(page)[key] == float(one)
        number.focus()
        page.keyboard.type(other)
        expect(number).to_have_css("border-bottom-style", "dashed")  # and who waits
        page.keyboard.type(one)
        expect(number).to_have_text(one)
        assert state(page)[key] == float(one)

    def test_escape_puts_back_what_was_there(self, show: Callable[..., Tab], name: str) -> None:
        label, one, other, large, *_, key = self.FIELD[name]
        page = show(name).page
        number = page.get_by_role("slider", name=label).first
        number.focus()
        page.keyboard.type(one)
        page.keyboard.press("Enter")
        for text in (other, large, "0.", "."):
            page.keyboard.type(text)
            page.keyboard.press("Escape")
            expect(number).to_have_text(one)
            assert state(page)[key] == float(one)
        page.keyboard.type(other)
        for _ in other:
            page.keyboard.press("Backspace")
        page.keyboard.press("Enter")
        assert state(page)[key] == float(one)

    @pytest.mark.parametrize("width", [1280, 390])
    def test_limits_are_said(self, show: Callable[..., Tab], name: str, width: int) -> None:
        label, one, _, large, most, key = self.FIELD[name]
        tab = show(name, viewport={"width": width, "height": 844})
        number = tab.page.get_by_role("slider", name=label).first
        said = tab.page.locator(".entry", has=number).get_by_role("status")
        number.focus()
        tab.page.keyboard.type(large)
        expect(said).to_have_text("")  # it may be the beginning of a number
        tab.page.keyboard.press("Enter")
        expect(said).to_have_text(re.compile(rf"^between \S+ and {most}; {most} taken$"))
        expect(said).to_be_in_viewport(ratio=0.95)  # it stands between two pixels
        assert state(tab.page)[key] == float(most)
        fits(tab.page)
        tab.page.keyboard.type(one)
        tab.page.keyboard.press("Enter")
        expect(said).to_have_text("")
        number.scroll_into_view_if_needed()
        drag(tab.page, number, 1500)  # by the mouse, too
        expect(said).to_contain_text(f"and {most}; {most} taken")
        assert tab.faults == []


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["digits", "plan", "training"])
def test_a_finger_types_a_number(show: Callable[..., Tab], name: str) -> None:
    label, one, other, large, most, key = TestNumbersThatAreTyped.FIELD[name]
    tab = show(name, **TELEPHONE)
    number = tab.page.get_by_role("slider", name=label).first
    field = tab.page.get_by_role("textbox", name=label)

    def tap() -> None:
        tab.page.wait_for_timeout(400)  # what follows a touch at once is none to Chromium
        number.tap()

    swipe(tab.page, number, 30)  # a drag is no tap
    expect(field).to_have_count(0)
    for text, end, wanted in ((one, "Enter", one), (other, "Escape", one), (other, "", other)):
        tap()
        expect(field).to_be_focused()
        assert field.get_attribute("inputmode") == ("text" if name == "digits" else "decimal")
        assert field.evaluate("one => parseFloat(getComputedStyle(one).fontSize)") >= 16  # or it zooms in
        tab.page.keyboard.type(text)  # what was there is selected
        expect(field).to_have_value(text)
        assert state(tab.page)[key] == float(text)  # at once
        if end:
            tab.page.keyboard.press(end)
        else:
            tab.page.locator(".ask").first.tap()
        expect(number).to_have_text(wanted)
        expect(field).to_have_count(0)
        assert state(tab.page)[key] == float(wanted)
    tap()
    tab.page.keyboard.type(large)
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_text(f"; {most} taken")).to_be_in_viewport(ratio=0.95)
    assert state(tab.page)[key] == float(most)
    tap()
    tab.page.keyboard.type(one)
    tab.page.get_by_role("button", name="Reset").evaluate("one => one.click()")  # without taking the focus
    expect(number).to_be_visible()
    assert state(tab.page)[key] not in (float(one), float(most))
    fits(tab.page)
    assert tab.faults == []


def test_a_number_between_two_steps_is_said(show: Callable[..., Tab]) -> None:
    page = show("plan").page
    page.get_by_role("slider", name="C, channels").focus()
    page.keyboard.type("500")
    page.keyboard.press("Enter")
    expect(page.get_by_text("in steps of 16; 496 taken")).to_be_visible()
    assert state(page)["c"] == 496


def test_a_power_of_ten_can_be_typed(show: Callable[..., Tab]) -> None:
    tab = show("training")
    number = tab.page.get_by_role("slider", name="base rate")
    number.click()
    expect(number).to_have_css("outline-style", "solid")  # so that one sees that keys arrive there
    for text, wanted in (("5e-2", 0.05), ("0.1e0", 0.1), ("5e", 0.1)):
        tab.page.keyboard.type(text)
        tab.page.keyboard.press("Enter")
        assert state(tab.page)["rate"] == wanted, text
    tab.page.keyboard.type("9")
    tab.page.keyboard.press("Enter")
    said = tab.page.locator(".entry", has=number).get_by_role("status")
    expect(said).to_contain_text("taken")
    tab.page.get_by_role("button", name="Reset").click()
    expect(said).to_have_text("")
    assert tab.faults == []


def test_a_sign_can_be_typed_before_and_after(show: Callable[..., Tab]) -> None:
    page = show("digits").page
    number = page.get_by_role("slider", name="w")
    number.focus()
    for text, wanted in (("-2", -2), ("2-", -2), ("-", 2), ("-1", -1)):
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        expect(number).to_have_attribute("aria-valuenow", str(wanted))
        assert state(page)["w"] == wanted


DRAGS: dict[str, list[dict[str, Any]]] = {
    "digits": [{"w": w / 2} for w in range(-6, 7)],
    "votes": [{"stop": stop} for stop in range(len(SIDES))],
    "why": [{"x": x, "y": 80} for x in range(20, 140, 3)],
    "field": [{"x": x, "y": x} for x in range(100, 400, 8)],
    "score": [{"labels": str(c) * i + "0" * (18 - i)} for c in (1, 2) for i in range(18)],
    "build": [{"y": i % 20, "x": i // 2, "u": i % 7} for i in range(40)],
    "plan": [{"c": c} for c in range(16, 641, 16)],
    "filters": [{"mix": mix} for mix in range(101)],
    "holes": [{"place": i % 7, "left": i % 7 - 3} for i in range(49)],
    "window": [{"row": i % 4, "column": i // 4} for i in range(16)],
    "training": [{"look": i % 3, "power": 0.5 + i / 10} for i in range(30)],
}


@pytest.mark.parametrize("name", FIGURES)
def test_keeps_up_with_a_drag(show: Callable[..., Tab], name: str) -> None:
    """Of a thirtieth of a second, a frame takes the page's thread less, with a new state in each.

    What counts is the processor's time, which other work on the machine does not lengthen.
    """
    page = show(name).page
    chromium = page.context.new_cdp_session(page)
    chromium.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = chromium.send("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in metrics}["TaskDuration"]

    before = busy()
    quickest(page, DRAGS[name])
    spent = (busy() - before) / len(DRAGS[name])
    assert 0 < spent < 1 / 30


def fits(page: Page) -> None:
    """Nothing reaches over the edge of the screen."""
    outside = page.locator(".live *").evaluate_all(
        """all => all.filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
            .filter((one) => getComputedStyle(one.parentElement).overflow !== "hidden")
            .map((one) => one.className)"""
    )
    assert outside == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", FIGURES)
def test_still_pictures(show: Callable[..., Tab], name: str) -> None:
    """Without scripts, and in print, there is the picture; on the screen there is not."""
    tab = show(name)
    still = tab.page.locator("[data-dmnet-live] > img")
    expect(still).to_be_hidden()
    tab.page.emulate_media(media="print")
    expect(still).to_be_visible()
    expect(tab.page.locator(".live")).to_be_hidden()
    page = show(name, ready=False, java_script_enabled=False).page
    expect(page.get_by_alt_text(ALT)).to_be_visible()


@pytest.mark.parametrize("name", FIGURES)
def test_as_a_widget(visit: Visit, tmp_path: Path, name: str) -> None:
    """What JupyterLab does: a module from a blob, and a model with the data."""
    (tmp_path / "page.html").write_text("<link rel=icon href=data:><main></main>")
    tab = visit("page.html", folder=tmp_path)
    tab.page.evaluate(
        """async ([script, data]) => {
            const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
            const model = { get: () => data };
            (await import(url)).default.render({ model, el: document.querySelector("main") });
        }""",
        [bundle.script(name), FIGURES[name]().data],
    )
    expect(tab.page.locator(f".live.{name}")).to_be_visible()
    assert tab.faults == []
