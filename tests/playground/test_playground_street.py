"""The playground's third world: photographs, and the network `street`, in a notebook and on a page."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from playground_page import PLACE, Visit, changed, give, png, switch
from playwright.sync_api import Route, expect
from safetensors.numpy import load

import dmnet
from dmnet.analysis.inside import look_inside
from dmnet.errors import DataError, DMNetError
from dmnet.export import export
from dmnet.playground import photographs, site
from dmnet.playground.catalogue import BY_ID, PlayScene, catalogue, scenes
from dmnet.playground.kernel import Desk
from dmnet.playground.layers import pack_layers
from dmnet.playground.scenes import pack
from dmnet.transforms import evaluation_image

ROOT = Path(__file__).resolve().parents[2]


class Drive:
    """Eighteen labelled photographs, as CamVid has them."""

    def __len__(self) -> int:
        return 18

    def __getitem__(self, index: int) -> tuple[Any, Any, str]:
        image = np.random.default_rng(index).integers(0, 256, (360, 480, 3), np.uint8)
        return image, np.full((360, 480), index % 11, np.uint8), f"frame {index}"


@pytest.fixture
def camvid() -> Iterator[None]:
    with mock.patch.object(photographs, "load_published", return_value=Drive()):
        yield


@pytest.fixture(scope="module")
def no_camvid() -> Iterator[None]:
    with mock.patch.object(photographs, "load_published", side_effect=DataError("CamVid was not found")):
        yield


@pytest.fixture
def nothing(no_camvid: None) -> Iterator[None]:
    with mock.patch.object(photographs, "find_spec", return_value=None):
        yield


@pytest.fixture(scope="module")
def model() -> dmnet.DMNet:
    return dmnet.load_pretrained("street")


def street() -> list[dict[str, Any]]:
    """Return what the catalogue offers of photographs."""
    shown: list[dict[str, Any]] = catalogue()["worlds"][2]["scenes"]
    return shown


def test_of_camvid_there_are_six_from_all_along_the_drive(camvid: None, model: dmnet.DMNet) -> None:
    assert [one["id"] for one in street()] == [f"street-{i}" for i in range(1, 7)]
    assert {one["credit"][0] for one in street()} == {"CamVid, Brostow et al. 2009"}
    last = scenes()["street-6"]
    file = load(gzip.decompress(pack(last, model)))
    image, mask, _ = Drive()[15]
    assert (file["image"] == image).all() and (file["truth"] == mask).all()
    assert file["answers"].shape == (16, 360, 480)
    assert (file["answers"][15] == dmnet.predict(model, image)).all()
    assert last.layers is None


def test_else_there_is_one_that_may_be_shown_and_whose_is_said(no_camvid: None, model: dmnet.DMNet) -> None:
    (pagoda,) = street()
    assert "by danielbuechele, CC BY 2.0" in pagoda["credit"][0]
    file = load(gzip.decompress(pack(scenes()["street-china"], model)))
    assert file["image"].shape == (320, 480, 3)
    assert "truth" not in file


def test_without_either_the_world_takes_the_readers_own(nothing: None, model: dmnet.DMNet) -> None:
    assert street() == []
    with pytest.raises(DMNetError, match=r"street needs pictures, .* come with demo_context and demo_scale$"):
        Desk(model, None, None)
    assert Desk(dmnet.load_pretrained("demo_scale"), None, None).scene_ids == list(BY_ID)


def test_a_kernel_answers_for_photographs(no_camvid: None, model: dmnet.DMNet) -> None:
    desk = Desk(model, None, None)
    assert desk.scene_ids[0] == "street-china"
    image = scenes()["street-china"].draw().image
    size = {"height": image.shape[0], "width": image.shape[1]}
    desk.reply({"kind": "picture", "id": 1, "world": "street", **size}, [image.tobytes()])
    asked = {"world": "street", "picture": 0, "donor": None, "gates": [1, 0, 1, 1], "channel": -1}
    _, (labels, *_) = desk.reply({"kind": "answer", "id": 2, **asked}, [])
    expected = dmnet.predict(model, image, scale_gates=[1, 0, 1, 1])
    assert (np.frombuffer(labels, np.uint8) == expected.ravel()).all()


@pytest.fixture(scope="module")
def page(no_camvid: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a playground, and of its files those of a drawn scene, a photograph and their networks."""
    runtime = ROOT / ".venv" / "static" / "onnxruntime"
    if not runtime.is_dir():
        pytest.skip("needs ONNX Runtime for pages, which `make setup` fetches")
    folder = tmp_path_factory.mktemp("street")
    files = folder / "playground"
    files.mkdir()
    site.write_front_end(files)
    for scene in (BY_ID["scale-26"], scenes()["street-china"]):
        (files / scene.world).mkdir()
        (files / scene.file).write_bytes(pack(scene, dmnet.load_pretrained(scene.world)))
        if isinstance(scene, PlayScene):
            (files / scene.layers).write_bytes(pack_layers(scene))
        export(dmnet.load_pretrained(scene.world), folder / "network.onnx", inner=True)
        packed = gzip.compress((folder / "network.onnx").read_bytes())
        (files / f"{scene.world}.onnx.gz").write_bytes(packed)
    one = BY_ID["scale-26"]
    for scene in scenes().values():  # what its other thumbnails show does not matter here
        if scene.world == one.world and scene.id != one.id:
            (files / scene.file).symlink_to(files / one.file)
    (folder / "onnxruntime").symlink_to(runtime)
    (folder / "page.html").write_text(
        '<meta charset="utf-8"><link rel="icon" href="data:">'
        '<link rel="stylesheet" href="playground/playground.css"><div data-dmnet-playground="{}"></div>'
        '<script type="module" src="playground/playground.js"></script>'
    )
    return folder


def test_what_a_reader_of_the_page_fetches_is_small(page: Path) -> None:
    assert (page / "playground" / "street.onnx.gz").stat().st_size <= 4_000_000
    assert (page / "playground" / "street" / "street-china.safetensors.gz").stat().st_size <= 600_000


def test_a_photograph_on_a_page(visit: Visit, page: Path, model: dmnet.DMNet) -> None:
    tab = visit("page.html", folder=page)
    tab.page.wait_for_function(f"{PLACE}?.answer?.logits", timeout=90_000)
    fetched = "performance.getEntriesByType('resource').map((one) => one.name)"
    assert not any("street" in name for name in tab.page.evaluate(fetched))  # before it is asked for
    tab.page.get_by_role("button", name="Change …").click()
    expect(tab.page.locator(".bench")).to_be_visible()
    tab.page.get_by_label("Scene").select_option(label="A pagoda")
    expect(tab.page.locator(".bench")).to_be_hidden()
    expect(tab.page.locator(".hint")).to_contain_text("11 things of a street in Cambridge, seen from a car")
    expect(tab.page.get_by_text("by danielbuechele, CC BY 2.0")).to_be_visible()
    expect(tab.page.locator(".engine")).to_contain_text("the network street runs in", timeout=90_000)
    found = changed(tab.page, {"gates": [1, 1, 0, 1]})
    image = scenes()["street-china"].draw().image
    expected = look_inside(model, evaluation_image("street", image), [1, 1, 0, 1]).logits.ravel()
    limit = 1e-3 * float(expected.abs().max())
    np.testing.assert_allclose(found["logits"], expected, rtol=0, atol=limit)
    for hidden in ("Change …", "Filters of", "Reveal"):  # nothing to move, nobody to lend, nothing behind it
        expect(tab.page.get_by_text(hidden, exact=True)).to_be_hidden()
    shares = tab.page.locator(".classes .score").all_inner_texts()
    assert sum(float(one.rstrip(" %")) for one in shares) == pytest.approx(100, abs=3)
    expect(tab.page.locator(".panel.truth")).to_be_hidden()  # there is none
    expect(tab.page.locator(".strip")).to_be_hidden()  # of a single scene
    expect(tab.page.get_by_role("alert")).to_be_hidden()
    assert tab.faults == []


def test_an_own_picture_is_shown_to_street_and_to_any_network_on_demand(
    visit: Visit, page: Path, model: dmnet.DMNet
) -> None:
    tab = visit("page.html", folder=page)
    tab.page.wait_for_function(f"{PLACE}?.answer?.logits", timeout=90_000)
    picture = np.random.default_rng(0).integers(0, 256, (100, 137, 3), np.uint8)
    held: list[Route] = []
    tab.page.route("**/street.onnx.gz", lambda route: held.append(route))
    give(tab.page, "mine.png", png(picture))
    place, opacity = tab.page.locator(".playground"), "one => getComputedStyle(one).opacity"
    expect(place).to_have_class(re.compile("waiting"))  # beside it stands what is of the scene before
    assert place.locator(".prediction").evaluate(opacity) == "0.12"
    expect(place.locator(".legend").first).to_be_hidden()
    tab.page.wait_for_timeout(100)
    held[0].continue_()
    expect(place).not_to_have_class(re.compile("waiting"), timeout=90_000)
    assert place.locator(".prediction").evaluate(opacity) == "1"
    hint = tab.page.locator(".hint")
    expect(hint).to_contain_text("The network that answers, street, knows 11 things of a street in Cambridge")
    for world, size in (("street", (350, 480)), ("demo_scale", (100, 137))):  # as its protocol says; as it is
        tab.page.get_by_label("Scene").select_option(f"own {world}")
        expect(hint).to_contain_text(world)
        found = changed(tab.page, {"gates": [1, 0, 1, 1]})
        pixels = tab.page.evaluate(f"{PLACE}.present.picture.pixels.join()")
        shown = np.array(json.loads(f"[{pixels}]"), np.uint8).reshape(*size, 3)
        expected = look_inside(dmnet.load_pretrained(world), evaluation_image(world, shown), [1, 0, 1, 1])
        limit = 1e-3 * float(expected.logits.abs().max())
        np.testing.assert_allclose(found["logits"], expected.logits.ravel(), rtol=0, atol=limit)
    assert (shown == picture).all()
    expect(switch(tab.page, 3)).not_to_be_checked()
    assert json.loads(tab.page.evaluate(f"JSON.stringify({PLACE}.state)"))["scene"] == "own"
    assert "own" not in tab.page.url
    assert tab.faults == []
