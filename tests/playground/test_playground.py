"""The playground's Python side: what it computes, what it writes, how the widget answers."""

import dataclasses
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from safetensors.numpy import load

import dmnet
from dmnet.analysis.inside import gated_logits, look_inside
from dmnet.errors import DataError, DMNetError
from dmnet.model import DMNet
from dmnet.playground import Playground, bundle, catalogue, site
from dmnet.playground.catalogue import BY_ID, QUESTIONS, SCENES, STILL, SUBSETS, PlayScene, scenes
from dmnet.playground.kernel import REMEMBERED, Desk
from dmnet.playground.layers import Cover, cut_out, pack_layers, sizes
from dmnet.playground.scenes import pack, subset_labels, window_votes
from dmnet.transforms import evaluation_image
from dmnet.worlds.demo import WORLDS
from dmnet.worlds.drawing import Item

COINS = PlayScene("demo_scale", 26)
GATES = [1.0, 0.0, 0.5, 2.0]


@pytest.fixture(scope="module")
def model() -> DMNet:
    return dmnet.load_pretrained("demo_scale")


def random_image(seed: int, size: tuple[int, int] = (64, 80)) -> torch.Tensor:
    return torch.randn(3, *size, generator=torch.Generator().manual_seed(seed))


class TestInside:
    @pytest.mark.parametrize("name", ["demo_scale", "demo_context"])
    def test_the_logits_are_the_networks(self, name: str) -> None:
        model = dmnet.load_pretrained(name).eval()
        x = random_image(0)
        with torch.inference_mode():
            expected = model(x[None], GATES).logits[0]
        torch.testing.assert_close(look_inside(model, x, GATES).logits, expected)

    def test_filters_and_responses_have_their_shapes(self, model: DMNet) -> None:
        answer = look_inside(model, random_image(0), GATES)
        assert [tuple(one.shape) for one in answer.filters] == [(16, k, k) for k in (1, 3, 5, 7)]
        assert [tuple(one.shape) for one in answer.responses] == [(16, 8, 10)] * 4

    def test_swapped_filters_are_the_donors(self, model: DMNet) -> None:
        x, other = random_image(0), random_image(1)
        own, donor = (look_inside(model, one, [1] * 4) for one in (x, other))
        lent = look_inside(model, x, [1] * 4, donor=other, donor_share=[0, 1, 0.5, 0])
        torch.testing.assert_close(lent.filters[0], own.filters[0])
        torch.testing.assert_close(lent.filters[1], donor.filters[1])
        torch.testing.assert_close(lent.filters[2], (own.filters[2] + donor.filters[2]) / 2)
        torch.testing.assert_close(lent.responses[3], own.responses[3])

    def test_a_picture_that_lends_to_itself_changes_nothing(self, model: DMNet) -> None:
        x = random_image(0)
        own, lent = look_inside(model, x, GATES), look_inside(model, x, GATES, donor=x)
        torch.testing.assert_close(own.logits, lent.logits)

    def test_many_settings_at_once_are_each_alone(self, model: DMNet) -> None:
        x = random_image(0)
        answer = look_inside(model, x, [1] * 4)
        settings = [GATES, [0, 0, 0, 0], [1, 1, 1, 1]]
        together = gated_logits(model, settings, answer.features, answer.responses)
        for gates, logits in zip(settings, together, strict=True):
            torch.testing.assert_close(logits, look_inside(model, x, gates).logits)

    def test_a_wrong_number_of_gates_is_refused(self, model: DMNet) -> None:
        with pytest.raises(DMNetError, match=r"scale_gates needs 4 numbers.*\[1, 1\]"):
            look_inside(model, random_image(0), [1, 1])
        with pytest.raises(DMNetError, match="donor_share needs 4 numbers"):
            look_inside(model, random_image(0), [1] * 4, donor_share=[1])

    def test_the_mode_is_left_as_it_was(self, model: DMNet) -> None:
        model.train()
        look_inside(model, random_image(0), [1] * 4)
        assert model.training
        model.eval()


def facts_of(file: bytes) -> Any:
    """Return the facts in a scene's file, or in that of its layers."""
    content = gzip.decompress(file)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["facts"])


class TestScenes:
    @pytest.mark.parametrize("world", list(catalogue.CHANNELS))
    def test_the_channel_that_is_shown_first_varies_most(self, world: str) -> None:
        """The variance of its 7 x 7 filters from scene to scene, as a share of their mean square."""
        model = dmnet.load_pretrained(world)
        pictures = [evaluation_image(world, one.draw().image) for one in BY_ID.values() if one.world == world]
        filters = torch.stack([look_inside(model, one, [1] * 4).filters[3] for one in pictures])
        share = filters.var(0, correction=0).sum((1, 2)) / filters.square().mean(0).sum((1, 2))
        assert int(share.argmax()) == catalogue.CHANNELS[world]
        assert float(share.max()) > 0.9

    def test_there_are_enough_of_both_worlds(self) -> None:
        every = list(BY_ID.values())
        assert len(every) >= 24
        assert {scene.world for scene in every} == {"demo_scale", "demo_context"}
        assert len({scene.id for scene in every}) == len({scene.title for scene in every}) == len(every)
        assert BY_ID["scale-26"] == COINS

    def test_a_file_holds_the_scene_and_every_answer(self, model: DMNet) -> None:
        tensors = load(gzip.decompress(pack(COINS, model)))
        drawn = COINS.draw()
        assert (tensors["image"] == drawn.image).all()
        assert (tensors["truth"] == drawn.mask).all()
        for number in (0, 6, 11, 15):
            labels = dmnet.predict(model, drawn.image, scale_gates=SUBSETS[number])
            assert (tensors["answers"][number] == labels).all()
        x = evaluation_image("demo_scale", drawn.image)
        answer = look_inside(model, x, [1] * 4)
        channel = catalogue.CHANNELS["demo_scale"]
        np.testing.assert_allclose(tensors["filters_3"], answer.filters[1][channel], rtol=1e-5)
        np.testing.assert_allclose(tensors["responses_7"], answer.responses[3][channel], rtol=1e-5)

    def test_the_same_scene_gives_the_same_file(self, model: DMNet) -> None:
        assert pack(COINS, model) == pack(COINS, model)

    def test_a_kernel_gets_no_answers_beforehand(self, model: DMNet) -> None:
        assert "answers" not in load(gzip.decompress(pack(COINS, model, answers=False)))

    def test_windows_tell_the_two_questions_apart(self) -> None:
        drawn, sides = COINS.draw(), (8, 24, 40, 56, 320)
        rubies, jades = (
            [sum(window_votes(drawn, question, side)) for side in sides]
            for question in QUESTIONS["demo_scale"]
        )
        assert max(rubies) == rubies[3] == 10
        assert max(jades) == jades[1] == 13

    def test_facts_name_the_questions_and_who_asks_them(self, model: DMNet) -> None:
        facts = facts_of(pack(COINS, model))
        drawn = COINS.draw()
        assert [question["hidden"] for question in facts["questions"]] == ["warm_side", "light_block"]
        assert facts["hidden"] == list(drawn.truth)
        assert [label for label, _, _ in facts["objects"]] == [item.label for item in drawn.objects]

    def test_switching_off_7_costs_the_rubies_and_3_the_jades(self, model: DMNet) -> None:
        drawn = COINS.draw()
        labels = subset_labels(model, drawn.image)
        known = drawn.mask != 255
        rubies, jades = (np.isin(drawn.mask, pair) & known for pair in ((1, 2), (3, 4)))
        wrong = labels != drawn.mask
        without_7, without_3 = wrong[SUBSETS.index((1, 1, 1, 0))], wrong[SUBSETS.index((1, 0, 1, 1))]
        assert without_7[rubies].mean() > 0.3 > 0.05 > without_7[jades].mean()
        assert without_3[jades].mean() > 0.3 > without_3[rubies].mean()


def put_together(scene: PlayScene) -> tuple[Any, Any]:
    """Lay a scene's layers on top of each other, as `compose.js` does; return the picture and the labels."""
    file = pack_layers(scene)
    tensors, facts = load(gzip.decompress(file)), facts_of(file)
    version = tensors["versions"][tensors["patch"]].astype(int)[None, :, :, None]
    picture = np.take_along_axis(tensors["grounds"], version.repeat(3, -1), 0)[0].astype(float)
    labels = np.zeros(picture.shape[:2], int)
    for one in facts["objects"]:
        if one["placed"]:
            left, top, width, height, start = one["stamps"]["0"]
            stamp = tensors["stamps"][:, start : start + width * height].reshape(5, height, width)
            y, x = (a.ravel() for a in np.mgrid[:height, :width])
            to = y + top + one["y"], x + left + one["x"]
            inside = (np.minimum(*to) >= 0) & (np.maximum(*to) < len(labels))
            y, x, to = y[inside], x[inside], (to[0][inside], to[1][inside])
            picture[to] = picture[to] * (stamp[3, y, x] / 255)[:, None] + stamp[:3, y, x].T
            kind = stamp[4, y, x]
            labels[to] = np.where(kind == 1, one["label"], np.where(kind == 255, 255, labels[to]))
    return picture.clip(0, 255), labels


class TestLayers:
    @pytest.mark.parametrize("scene", [COINS, PlayScene("demo_context", 13)], ids=lambda scene: scene.id)
    def test_laid_on_top_of_each_other_they_are_the_scene(self, scene: PlayScene) -> None:
        picture, labels = put_together(scene)
        drawn = scene.draw()
        assert (labels == drawn.mask).all()
        noise = drawn.image - picture
        assert noise.std() == pytest.approx(0.012 * 255, rel=0.03)
        assert abs(noise.mean()) < 0.1

    def test_every_kind_can_be_added_and_what_is_in_the_scene_is_said(self) -> None:
        facts = facts_of(pack_layers(COINS))
        placed = [one for one in facts["objects"] if one["placed"]]
        assert [one["label"] for one in placed] == [item.label for item in COINS.draw().objects]
        stock = [one["name"] for one in facts["objects"] if not one["placed"]]
        assert stock == ["ruby", "jade", "cross", "ring", "cover"]
        assert {one["name"] for one in placed} <= set(stock)

    def test_sizes_are_those_that_the_world_has(self) -> None:
        stock = WORLDS["demo_context"].stock()
        assert list(sizes(stock["ring"], "demo_context")) == [-2, -1, 0, 1, 2]
        small = dataclasses.replace(stock["ruby"], item=Item(1, 64, 64, 8.0))  # type: ignore[type-var]
        assert list(sizes(small, "demo_context")) == [0, 2]
        assert sizes(small, "demo_context")[2] == 16

    def test_a_larger_piece_has_the_same_gems(self) -> None:
        stock = WORLDS["demo_context"].stock()
        one, two = (cut_out(stock["ruby"], diameter) for diameter in (30, 60))
        half = two.added[: 2 * (len(two.added) // 2), : 2 * (two.added.shape[1] // 2)]
        half = half.reshape(len(half) // 2, 2, -1, 2, 3).mean((1, 3))
        middle = [one_.shape[0] // 2 for one_ in (one.added, half)]
        parts = [
            image[m - 8 : m + 8, m - 8 : m + 8] for image, m in zip((one.added, half), middle, strict=True)
        ]
        red = [part[..., 0] > part[..., 1] for part in parts]
        assert (red[0] == red[1]).mean() > 0.85

    def test_a_cover_lets_nothing_through_and_counts_nowhere(self) -> None:
        stamp = cut_out(Cover(Item(255, 0, 0, 24.0)), 24.0)
        assert set(np.unique(stamp.mask)) == {0, 255}
        assert stamp.through[stamp.mask == 255].min() == 0


class TestSite:
    def test_the_catalogue_lists_every_scene(self) -> None:
        listed = [scene for world in catalogue.catalogue()["worlds"] for scene in world["scenes"]]
        assert [scene["id"] for scene in listed] == list(scenes())
        for world, classes in zip(catalogue.catalogue()["worlds"], (7, 7, 11), strict=True):
            assert len(world["classes"]) == len(world["palette"]) == classes

    def test_the_still_pictures(self, model: DMNet, tmp_path: Path) -> None:
        for scene in STILL:
            site.write_still(scene, dmnet.load_pretrained(scene.world), tmp_path / "still")
        html = site.still_html(tmp_path, "static/")
        sources = re.findall(r'src="static/([^"]+)"', html)
        assert len(sources) == 3 * 17
        assert all((tmp_path / source).is_file() for source in sources)
        assert len(re.findall(r'alt="[^"]{10,}"', html)) == len(sources)

    def test_a_folder_that_was_not_finished_has_no_catalogue(self, tmp_path: Path) -> None:
        """By the catalogue the book's build knows that all is there."""
        layers = mock.patch.object(site, "pack_layers", return_value=b"")
        scenes = mock.patch.object(site, "pack", return_value=b"")
        fails = mock.patch.object(site, "write_still", side_effect=KeyboardInterrupt)
        with layers, scenes, fails, pytest.raises(KeyboardInterrupt):
            site.write_site(tmp_path)
        assert (tmp_path / COINS.file).is_file()
        assert not (tmp_path / "catalogue.json").exists()


SCRIPTS = ("main", *bundle.FIGURES)


class TestBundle:
    @pytest.mark.parametrize("name", SCRIPTS)
    def test_imports_and_exports_are_gone_but_one(self, name: str) -> None:
        script = bundle.script(name)
        assert re.findall("^import .*", script, re.M) == []
        assert (
            len(re.findall(r"^export default ", script, re.M))
            == len(re.findall("^export ", script, re.M))
            == 1
        )

    def test_code_is_left_as_it_is_and_comments_are_left_out(self) -> None:
        script = bundle.script()
        assert "/**" not in script and "*/" not in script
        assert "new Float32Array(3 * area);" in script
        assert "// " in (bundle.FRONTEND / "panels.js").read_text("utf8") and "// " not in script

    def test_every_module_of_the_front_end_is_in_one(self) -> None:
        scripts = [bundle.script(name) for name in (*SCRIPTS, "load", "onnx")]
        for file in bundle.FRONTEND.glob("*.js"):
            code = bundle.TYPES.sub("", bundle.EXPORT.sub("", file.read_text("utf8")))
            last = code.rstrip().splitlines()[-2:]
            assert any("\n".join(last) in script for script in scripts), file.name

    @pytest.mark.parametrize("name", SCRIPTS)
    def test_no_two_modules_share_a_name(self, name: str) -> None:
        names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", bundle.script(name), re.M)
        assert len(names) == len(set(names))


class TestWidget:
    def test_what_is_set_is_kept_and_heard(self, model: DMNet) -> None:
        playground = Playground(model)
        heard: list[Any] = []
        playground.observe(lambda change: heard.append(change["new"]), "scale_gates")
        playground.scale_gates = [1, 0, 1, 1]
        assert heard == [[1, 0, 1, 1]]
        playground.set_state({"scale_gates": [1, 1, 1, 0], "scene": "context-13"})  # as the page would
        assert heard[-1] == [1, 1, 1, 0]
        assert playground.scene == "context-13"

    def test_each_scene_keeps_its_changes(self, model: DMNet) -> None:
        playground = Playground(model, scene="scale-1", edits=["remove 1"])
        playground.scene = "scale-5"
        assert playground.edits == []
        playground.set_state({"edits": ["remove 2", "exchange warm"]})  # as the page would
        playground.scene = "scale-1"
        assert playground.edits == ["remove 1"]
        playground.set_state({"scene": "scale-5", "edits": ["remove 3"]})
        assert playground.edits == ["remove 3"]
        playground.set_state({"scene": "scale-1"})  # a page leaves out what stays: it shows the same changes
        assert playground.edits == ["remove 3"]
        playground.edits = []
        playground.scene = "scale-5"
        assert playground.edits == ["remove 3"]
        playground.scene = "scale-1"
        assert playground.edits == []

    @pytest.mark.parametrize(
        ("state", "message"),
        [
            ({"scale_gates": [1, 1, 1, 3]}, "from 0 to 2"),
            ({"scene": "scale-1000"}, "there is no scene 'scale-1000'"),
            ({"donor": "x"}, "there is no scene 'x'"),
            ({"edits": ["move 3"]}, "a change of a scene is one of move, .*got 'move 3'"),
            ({"edits": [" "]}, "a change of a scene is one of move, .*got ' '"),
            ({"edits": ["paint 3 4 5"]}, "got 'paint 3 4 5'"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, model: DMNet, state: Any, message: str) -> None:
        with pytest.raises(DMNetError, match=message):
            Playground(model, **state)

    def test_a_page_gets_a_place_with_the_state(self, model: DMNet) -> None:
        data = Playground(model, scale_gates=[1, 0, 1, 1])._repr_mimebundle_()[0]
        assert "application/vnd.jupyter.widget-view+json" in data
        assert "&quot;gates&quot;: [1.0, 0.0, 1.0, 1.0]" in data["text/html"]


def test_without_anywidget_the_message_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "try: from dmnet.playground import Playground\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'dmnet[playground]'" in done.stdout


class Asked:
    """Asks a desk as the front end does."""

    def __init__(self, *arguments: Any) -> None:
        self.desk = Desk(*arguments)

    def __call__(self, kind: str, buffers: Any = (), **request: Any) -> Any:
        content, attached = self.desk.reply({"kind": kind, "id": 7, **request}, buffers)
        return SimpleNamespace(content=content, buffers=attached)


class TestKernel:
    def test_an_answer_is_pytorchs(self, model: DMNet) -> None:
        ask = Asked(model, None, None)
        image = COINS.draw().image
        size = {"height": 160, "width": 160, "world": "demo_scale"}
        number = ask("picture", [memoryview(image.tobytes())], **size).content["number"]
        reply = ask("answer", world="demo_scale", picture=number, donor=None, gates=GATES, channel=2)
        expected = look_inside(model, evaluation_image("demo_scale", image), GATES)
        labels, logits, *grids = reply.buffers
        assert reply.content["reply_to"] == 7
        assert (np.frombuffer(labels, np.uint8) == dmnet.predict(model, image, GATES).ravel()).all()
        np.testing.assert_allclose(np.frombuffer(logits, np.float32), expected.logits.ravel(), rtol=1e-4)
        for grid, whole in zip(grids, (*expected.filters, *expected.responses), strict=True):
            np.testing.assert_allclose(np.frombuffer(grid, np.float32), whole[2].ravel(), rtol=1e-4)

    def test_of_many_pictures_the_last_are_kept(self, model: DMNet) -> None:
        ask = Asked(model, None, None)
        size = {"height": 16, "width": 16, "world": "demo_scale"}
        numbers = [ask("picture", [bytes(768)], **size).content["number"] for _ in range(REMEMBERED + 3)]
        assert len(set(numbers)) == len(numbers)
        asked = {"world": "demo_scale", "gates": [1] * 4, "channel": -1}
        assert ask("answer", picture=numbers[2], donor=None, **asked).content["forgotten"]
        assert ask("answer", picture=numbers[-1], donor=numbers[2], **asked).content["forgotten"]
        assert "forgotten" not in ask("answer", picture=numbers[-1], donor=numbers[3], **asked).content

    def test_files(self, model: DMNet) -> None:
        ask = Asked(model, None, None)
        assert ask("asset", name="catalogue.json").buffers == [json.dumps(ask.desk.catalogue()).encode()]
        scene = load(gzip.decompress(ask("asset", name="demo_context/13.safetensors.gz").buffers[0]))
        assert scene["image"].shape == (128, 128, 3)
        assert ask("asset", name="demo_scale/26.layers.gz").buffers[0] == pack_layers(COINS)

    @pytest.mark.parametrize(
        "name", ["../../stamp.json", "../../../README.md", "demo_scale/../x", "/etc/hosts", "x"]
    )
    def test_no_other_file_is_given_out(self, model: DMNet, name: str) -> None:
        reply = Asked(model, None, None)("asset", name=name)
        assert "there is no file" in reply.content["error"]
        assert reply.buffers == []

    def test_any_system_with_pictures_of_ones_own(self) -> None:
        model = dmnet.build_model("small_r18")
        picture, labels = np.full((40, 50, 3), 128, np.uint8), np.ones((40, 50), np.uint8)
        ask = Asked(model, {"wall": picture}, {"wall": labels})
        (world,) = ask.desk.catalogue()["worlds"]
        wall = {"id": "wall", "title": "wall", "file": "pictures/wall", "layers": None}
        assert world["scenes"] == [wall]
        assert len(world["classes"]) == len(world["palette"]) == 21
        scene = load(ask("asset", name="pictures/wall").buffers[0])
        assert (scene["image"] == picture).all() and (scene["truth"] == labels).all()
        ask("picture", [picture.tobytes()], world="small_r18", height=40, width=50)
        reply = ask("answer", world="small_r18", picture=0, donor=None, gates=[1] * 4, channel=-1)
        assert len(reply.buffers[0]) == 40 * 50

    def test_what_cannot_be_shown_is_refused(self) -> None:
        model = dmnet.build_model("small_r18")
        with pytest.raises(DMNetError, match="small_r18 needs pictures"):
            Desk(model, None, None)
        with pytest.raises(DMNetError, match=r"sizes 1, 3, 5 and 7; small_r18 has \(3, 7\)"):
            Playground(
                dmnet.build_model("small_r18", filter_sizes=(3, 7)), {"a": np.zeros((8, 8, 3), np.uint8)}
            )
        with pytest.raises(DataError, match="labels of 'b' need a picture"):
            Desk(model, {"a": np.zeros((8, 8, 3), np.uint8)}, {"b": np.zeros((8, 8), np.uint8)})

    def test_a_request_that_fails_says_why(self, model: DMNet) -> None:
        reply = Asked(model, None, None)(
            "answer", world="nowhere", picture=0, donor=None, gates=[1], channel=-1
        )
        assert reply.content == {"error": "DMNetError: there is no network for 'nowhere'", "reply_to": 7}


def test_every_world_has_a_title_a_hint_and_pairs() -> None:
    for table in (catalogue.TITLES, catalogue.HINTS, catalogue.KNOWS, catalogue.PAIRS, catalogue.QUESTIONS):
        assert set(table) == {*SCENES, "street"}
    assert set(catalogue.ALTS) == set(SCENES)
