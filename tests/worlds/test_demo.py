"""The two drawn worlds: what their pictures promise, and how drawn sets are made and kept."""

import hashlib
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmnet.datasets import load
from dmnet.errors import DataError
from dmnet.worlds import DemoDataset, demo, write_layout
from dmnet.worlds import context as context_world
from dmnet.worlds import scale as scale_world
from dmnet.worlds.drawing import Item, Scene, choose_cells

WORLDS = tuple(demo.WORLDS)
INDEX = st.integers(0, 10**6)

# Scene 1 of the training split with seed 0: revision, digest of the mask, every 24th pixel of the image. If a
# change to the drawing is meant, raise REVISION in the world's module and put the new values here.
PINNED = {
    "demo_context": (
        3,
        "5173b0558d8a3e42cd9078567c7c605b54ca75e674d170d29b35cc804d6435c7",
        "4595a0a4473334568f8c70565e3e1c3a6aa0ffef6fffd967d6a54ad8b17af6c17a8f7241c55745eec591d19d46cc8789e7b452e2"
        "993cf3a345f2be5267302fa47e3bb88741caa14a663d43",
    ),
    "demo_scale": (
        2,
        "8d3e99dc0509f3e050394392399cc404a70d0d4bac1a3da631a4eb1b69b60d23",
        "687581325f59745233f1baa630425c804c476a738ac9a28f9bc3b5e0ad9ca8947effcfbb7f64652e594b8d0a2271708bf0d4b18a"
        "8b97e8c1bda1d8dcf1b8a52b5760664824775d2a77484e304b7926444db28f81f6d2a9455c7190746c6049263a366059647991b7"
        "bf8d4a42574220c89d46916b4a7e4b3cf3cdad32535086a8b5f3cba1ca9f416679881c4a4a484b719fccd7",
    ),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the drawn sets of a test in a folder of its own."""
    monkeypatch.setenv("DMNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def scene(name: str, index: int) -> Scene:
    return demo.WORLDS[name].scene(seed=11, split="train", index=index)


def at(values: np.ndarray, item: Item) -> bool:
    """Value of a map at the centre of an object."""
    return bool(values[round(item.y), round(item.x)])


# The pictures


@pytest.mark.parametrize("name", WORLDS)
def test_pictures_are_those_of_the_revision(name: str) -> None:
    revision, digest, pixels = PINNED[name]
    drawn = demo.WORLDS[name].scene(seed=0, split="train", index=1)
    assert demo.WORLDS[name].revision == revision
    assert hashlib.sha256(drawn.mask.tobytes()).hexdigest() == digest
    sample = drawn.image[8::24, 8::24].astype(int)
    expected = np.frombuffer(bytes.fromhex(pixels), np.uint8).reshape(sample.shape)
    assert np.abs(sample - expected).max() <= 1  # sine and exponential may differ in the last bit elsewhere


@pytest.mark.parametrize("name", WORLDS)
@given(index=INDEX)
def test_a_scene_is_a_picture_with_labels(name: str, index: int) -> None:
    drawn, size = scene(name, index), demo.WORLDS[name].size
    assert drawn.image.shape == (size, size, 3) and drawn.image.dtype == np.uint8
    assert drawn.mask.shape == (size, size) and drawn.mask.dtype == np.uint8
    assert set(np.unique(drawn.mask)) <= {0, 1, 2, 3, 4, 5, 6, 255}
    assert {item.label for item in drawn.objects} <= {1, 2, 3, 4, 5, 6}
    assert all(values.shape == (size, size) for values in drawn.truth.values())
    assert drawn.image.std() > 20  # neither black nor washed out


@pytest.mark.parametrize("name", WORLDS)
@given(index=INDEX)
def test_objects_are_surrounded_by_void(name: str, index: int) -> None:
    mask = scene(name, index).mask
    for first, second in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])):
        assert not ((first != second) & (first != 255) & (second != 255)).any()


@given(index=INDEX)
def test_coins_carry_the_answers(index: int) -> None:
    drawn = scene("demo_scale", index)
    for item in drawn.objects:
        assert min(item.x, item.y) >= 10 and max(item.x, item.y) <= 149
        assert 14 <= item.diameter <= 15.5
        assert drawn.mask[round(item.y), round(item.x)] == item.label
        if item.label in (scale_world.RUBY_WARM, scale_world.RUBY_COOL):
            rows, columns = (slice(max(0, round(c) - 14), round(c) + 15) for c in (item.y, item.x))
            side = drawn.truth["warm_side"][rows, columns]
            assert (side == (item.label == scale_world.RUBY_WARM)).all()  # the line is far
        if item.label in (scale_world.JADE_LIGHT, scale_world.JADE_DARK):
            assert at(drawn.truth["light_block"], item) == (item.label == scale_world.JADE_LIGHT)


@given(index=INDEX)
def test_pieces_belong_to_their_quilt(index: int) -> None:
    drawn = scene("demo_context", index)
    for item in drawn.objects:
        if item.label <= context_world.JADE_COOL:
            warm = item.label in (context_world.RUBY_WARM, context_world.JADE_WARM)
            assert at(drawn.truth["warm_quilt"], item) == warm
    assert 1 <= len(drawn.objects) <= 7
    diameters = [item.diameter for item in drawn.objects]
    assert min(diameters) >= 7 and max(diameters) <= 96


def test_tiles_follow_their_side_and_block_as_often_as_promised() -> None:
    truths = [scene("demo_scale", index).truth for index in range(60)]
    side = np.mean([np.mean(truth["warm_tile"] == truth["warm_side"]) for truth in truths])
    block = np.mean([np.mean(truth["light_tile"] == truth["light_block"]) for truth in truths])
    assert side == pytest.approx(scale_world.SIDE_FOLLOWED, abs=0.015)
    assert block == pytest.approx(scale_world.BLOCK_FOLLOWED, abs=0.015)
    warm = np.mean([truth["warm_tile"].mean() for truth in truths])
    assert warm == pytest.approx(0.5, abs=0.02)  # the halves oppose each other: the mean says nothing


def test_coins_ask_as_often_as_promised() -> None:
    labels = [item.label for index in range(60) for item in scene("demo_scale", index).objects]
    counts = np.bincount(labels, minlength=7) / len(labels)
    assert 26 <= len(labels) / 60 <= 30
    assert counts[1] + counts[2] == pytest.approx(0.35, abs=0.03)
    assert counts[3] + counts[4] == pytest.approx(0.45, abs=0.04)
    assert abs(counts[1] - counts[2]) < 0.04 and abs(counts[5] - counts[6]) < 0.04


def test_quilts_have_the_majority_that_names_them() -> None:
    shares, warm = [], 0
    for index in range(80):
        drawn = scene("demo_context", index)
        warm += bool(drawn.truth["warm_quilt"].all())
        assert drawn.truth["warm_quilt"].all() or not drawn.truth["warm_quilt"].any()
        right = drawn.truth["warm_patch"] == drawn.truth["warm_quilt"]
        shares.append(right[drawn.mask == 0].mean())
    assert min(shares) > 0.7
    assert np.mean(shares) == pytest.approx(context_world.QUILT_MAJORITY, abs=0.02)
    assert 25 < warm < 55


def test_the_patches_beside_a_piece_keep_the_secret() -> None:
    beside, elsewhere = [], []
    for index in range(80):
        drawn = scene("demo_context", index)
        right = drawn.truth["warm_patch"] == drawn.truth["warm_quilt"]
        near, visible = drawn.truth["near"], drawn.mask == 0
        beside.append(right[near & visible].mean() if near.any() else 0.5)
        elsewhere.append(right[~near & visible].mean())
    assert np.mean(beside) < 0.68
    assert np.mean(elsewhere) > 0.8


def test_every_class_occurs() -> None:
    for name in WORLDS:
        labels = np.unique([scene(name, index).mask for index in range(12)])
        assert set(labels) == {0, 1, 2, 3, 4, 5, 6, 255}


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60), st.floats(0, 1), st.integers(0, 99))
def test_choose_cells_comes_as_near_as_whole_cells_can(areas: list[int], share: float, seed: int) -> None:
    area = np.array(areas)
    chosen = choose_cells(area, share, np.random.default_rng(seed))
    assert abs(area[chosen].sum() - share * area.sum()) <= area.max() / 2 + 1e-6


# The sets


def test_what_a_set_offers() -> None:
    dataset = load("demo_context", split="val", size=3)
    image, mask, name = dataset[1]
    drawn = dataset.scene(1)
    np.testing.assert_array_equal(image, drawn.image)
    np.testing.assert_array_equal(mask, drawn.mask)
    assert name == dataset.ids[1] == "val_00001"
    assert len(dataset) == len(list(dataset)) == 3
    assert dataset.classes[1] == "ruby on warm" and dataset.palette.shape == (7, 3)
    assert dataset.ignore_index == 255
    np.testing.assert_array_equal(dataset[-1][0], dataset[2][0])
    with pytest.raises(IndexError):
        dataset[3]


def test_default_sizes() -> None:
    assert [len(load("demo_scale", split=split)) for split in ("train", "val", "test")] == [1600, 300, 300]


def test_seed_split_world_and_index_all_matter() -> None:
    digests = set()
    for name in WORLDS:
        for split in ("train", "val", "test"):
            for seed in (0, 1):
                dataset = DemoDataset(name, split, size=2, seed=seed)
                digests |= {dataset.scene(index).mask.tobytes() for index in range(2)}
    assert len(digests) == 2 * 3 * 2 * 2


def test_a_small_set_is_the_start_of_a_large_one() -> None:
    small, large = (DemoDataset("demo_scale", "val", size=size) for size in (2, 4))
    np.testing.assert_array_equal(small[1][0], large[1][0])


def test_examples_can_be_changed_without_harm() -> None:
    dataset = DemoDataset("demo_scale", "val", size=1)
    before = dataset[0][0].copy()
    dataset[0][0][:] = 0
    np.testing.assert_array_equal(dataset[0][0], before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "trainval"}, "train, val, test"),
        ({"size": 0}, "size"),
        ({"seed": -1}, "seed"),
        ({"root": "somewhere"}, "leave out root"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load("demo_scale", **options)


def test_unknown_name() -> None:
    with pytest.raises(DataError, match="demo_context"):
        load("demo")
    with pytest.raises(DataError, match="demo_context"):
        DemoDataset("voc")


# The cache


def small_set() -> DemoDataset:
    return DemoDataset("demo_context", "val", size=3, seed=5)


def test_the_second_time_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    first = small_set()
    examples = list(first)
    assert first.cache_file.is_file()
    monkeypatch.setattr(demo, "_draw_all", lambda *_: pytest.fail("drawn again"))
    for (image, mask, _), (again, mask_again, _) in zip(examples, small_set(), strict=True):
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(mask, mask_again)


def test_cache_files_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        DemoDataset(name, split, size=size, seed=seed).cache_file
        for name in WORLDS for split in demo.SPLITS for size in (1, 2) for seed in (0, 1)
    }  # fmt: skip
    assert len(files) == 2 * 3 * 2 * 2
    newer = small_set()
    newer.revision += 1
    assert newer.cache_file != small_set().cache_file


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5000])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def swap_the_content(file: Path) -> None:
    np.savez(file, images=np.zeros((3, 4, 4, 3), np.uint8), masks=np.zeros((3, 4, 4), np.uint8))


@pytest.mark.parametrize(
    "damage", [truncate, flip_a_bit, swap_the_content, lambda file: file.write_bytes(b"")]
)
def test_a_damaged_cache_is_drawn_again(damage) -> None:
    first = small_set()
    image = first[2][0]
    damage(first.cache_file)
    with pytest.warns(UserWarning, match="damaged"):
        np.testing.assert_array_equal(small_set()[2][0], image)
    with warnings.catch_warnings():  # and it was mended
        warnings.simplefilter("error")
        np.testing.assert_array_equal(small_set()[2][0], image)


def test_a_full_disk_costs_only_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args, **_named) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo.np, "savez", full)
    dataset = small_set()
    with pytest.warns(UserWarning, match="No space left"):
        image = dataset[0][0]
    np.testing.assert_array_equal(image, dataset.scene(0).image)
    assert list(dataset.cache_file.parent.iterdir()) == []


def test_a_copy_for_another_process_is_light() -> None:
    dataset = small_set()
    image = dataset[1][0]
    content = pickle.dumps(dataset)
    assert len(content) < 10_000
    np.testing.assert_array_equal(pickle.loads(content)[1][0], image)


# Drawing with workers


def test_workers_draw_the_same_and_leave_the_random_state_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_ALONE", 4)
    dataset = DemoDataset("demo_context", "test", size=5, seed=3)
    before = torch.random.get_rng_state()
    images = [dataset[index][0] for index in range(5)]
    assert torch.equal(before, torch.random.get_rng_state())
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image, dataset.scene(index).image)


def test_a_worker_of_a_loader_draws_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_ALONE", 2)
    dataset = DemoDataset("demo_scale", "val", size=3, seed=3)
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=1, collate_fn=tuple)
    for index, (image, _, _) in enumerate(loader):
        np.testing.assert_array_equal(image, dataset.scene(index).image)


# On disk


@pytest.mark.parametrize("name", WORLDS)
def test_written_and_read_again(name: str, tmp_path: Path) -> None:
    splits = [DemoDataset(name, "train", size=3), DemoDataset(name, "val", size=2)]
    folder = write_layout(splits, tmp_path / "out")
    for split in splits:
        again = load("folder", folder, split.split)
        assert len(list(again)) == len(again)
        assert again.ids == split.ids and again.classes == split.classes
        for (image, mask, _), (drawn, labels, _) in zip(again, split, strict=True):
            np.testing.assert_array_equal(mask, labels)
            assert np.abs(image.astype(int) - drawn).mean() < 4  # JPEG


def test_a_cache_that_cannot_even_be_looked_at_costs_nothing_but_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DMNET_HOME", "x" * 300)  # no file can have this name; like a folder of another user's
    with pytest.warns(UserWarning, match="could not be kept"):
        assert DemoDataset("demo_scale", "val", size=1)[0][2] == "val_00000"
