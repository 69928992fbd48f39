"""Both pipelines: against OpenCV, torchvision and the colour space's definition; in the protocol's order."""

import colorsys
import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from dmnet import systems, transforms
from dmnet.book.figures import denormalise
from dmnet.errors import DataError, UnknownSystemError
from dmnet.systems import Recipe
from dmnet.transforms import (
    MEAN,
    STD,
    TrainingTransform,
    adjust_hsv,
    evaluation_image,
    fitted_size,
    network_input,
    normalise,
    pad,
    photometric_distortion,
    random_crop,
    random_flip,
    random_resize,
    resize_image,
    resize_mask,
)

VOC = systems.get("ssseg_r50_d8_voc")
NEUTRAL = replace(Recipe(), resize=None, crop=None, flip=0.0, photometric=False)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth picture with some noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return (picture + random.integers(-20, 20, picture.shape)).clip(0, 255).astype(np.uint8)


# Evaluation


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((375, 500), (512, 683)),  # the short side decides; 682.67 rounds up
        ((500, 375), (683, 512)),
        ((100, 1000), (205, 2048)),  # the long side decides; 204.8 rounds up
        ((512, 2048), (512, 2048)),
        ((1, 1), (512, 512)),
        ((1, 9000), (1, 2048)),  # 0.23 pixels become one
    ],
)
def test_sizes_are_those_of_mmcv(size, wanted):
    assert fitted_size(size, (2048, 512)) == fitted_size(size, (512, 2048)) == wanted


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_a_fitted_size_stays_within_the_limits_and_reaches_one(height, width):
    small, large = sorted(fitted_size((height, width), (2048, 512)))
    assert small <= 512 and large <= 2048 and (small == 512 or large == 2048)


def exact_bilinear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize with torchvision, in floats."""
    planes = torch.tensor(image).permute(2, 0, 1).float()
    resized = tv.resize(planes, list(size), InterpolationMode.BILINEAR, antialias=False)
    return resized.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size", [(375, 500), (1080, 720), (33, 47), (1024, 2048)])
def test_evaluation_image_is_bilinear_without_antialiasing(size):
    image = photo(*size)
    wanted_size = fitted_size(size, (2048, 512))
    ours = evaluation_image(VOC, image)
    assert ours.dtype == torch.float32 and ours.shape == (3, *wanted_size)
    pixels = denormalise(ours)
    np.testing.assert_array_equal(
        pixels, cv2.resize(image, wanted_size[::-1], interpolation=cv2.INTER_LINEAR)
    )
    assert np.abs(pixels - exact_bilinear(image, wanted_size)).max() < 1


def test_normalisation_is_torchvisions():
    image = photo(9, 7)
    planes = torch.tensor(image).permute(2, 0, 1)
    wanted = tv.normalize(planes.float(), list(MEAN), list(STD))
    ours = torch.tensor(normalise(image)).permute(2, 0, 1)
    assert torch.equal(ours, wanted)
    np.testing.assert_array_equal(denormalise(ours), image)
    white = (255 - np.array(MEAN)) / STD
    np.testing.assert_allclose(normalise(np.full((1, 1, 3), 255, np.uint8))[0, 0], white, rtol=1e-6)


def test_evaluation_image_takes_what_can_be_read(tmp_path):
    image = photo(20, 30)
    Image.fromarray(image).save(tmp_path / "photo.png")
    wanted = evaluation_image("demo_scale", image)
    assert wanted.shape == (3, 20, 30)
    for same in (tmp_path / "photo.png", str(tmp_path / "photo.png"), Image.fromarray(image)):
        assert torch.equal(evaluation_image("demo_scale", same), wanted)
    assert torch.equal(evaluation_image(None, image), wanted)
    assert torch.equal(network_input(image, None), wanted)
    assert torch.equal(network_input(image, (60, 60)), evaluation_image(None, resize_image(image, (40, 60))))
    assert evaluation_image(VOC, np.zeros((1, 1), np.uint8)).shape == (3, 512, 512)
    with pytest.raises(UnknownSystemError, match="demo_scale"):
        evaluation_image("demo_scael", image)
    with pytest.raises(DataError, match=r"missing\.jpg"):
        evaluation_image(VOC, tmp_path / "missing.jpg")


# Training


def by_hand(recipe: Recipe, image: np.ndarray, mask: np.ndarray, random: torch.Generator):
    """The protocol, step by step."""
    image, mask = random_resize(image, mask, recipe.resize, recipe.scale_range, random)
    image, mask = random_crop(image, mask, recipe.crop, recipe.cat_max_ratio, random)
    image, mask = random_flip(image, mask, recipe.flip, random)
    image = normalise(photometric_distortion(image, random))
    image, mask = pad(image, recipe.crop, 0), pad(mask, recipe.crop, 255)
    return torch.from_numpy(image).permute(2, 0, 1), torch.tensor(mask.astype(np.int64))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(9, 150), st.integers(9, 150))
def test_the_steps_come_in_the_protocols_order(seed, height, width):
    image, mask = photo(height, width, seed), photo(height, width, seed + 1)[..., 0] // 64
    recipe = replace(Recipe(), resize=(160, 80), crop=(72, 96))
    ours, labels = TrainingTransform(recipe)(image, mask, generator(seed))
    wanted, wanted_labels = by_hand(recipe, image, mask, generator(seed))
    assert ours.shape == (3, 72, 96) and ours.is_contiguous() and labels.dtype == torch.int64
    assert torch.equal(ours, wanted) and torch.equal(labels, wanted_labels)


DEMO_SAMPLES = {  # digests; the shipped weights were trained on samples made like these
    ("demo_scale", 48, 48): [
        "33808a527c72cd26",
        "59f575a7a2710073",
        "fe0d9e4ade171a1f",
        "0828c07d0418a2db",
        "965a73832eafe437",
        "05746dcea13839b3",
        "3745812ca9300bba",
        "955d77bc7585b020",
    ],
    ("demo_context", 33, 50): [
        "34aba756d6550a70",
        "b513fc482c15767a",
        "a1aab248f1f2d893",
        "50fae67b3395208c",
        "ce4e763746aa35d5",
        "d7351ab3d891379c",
        "67b6e0144e686e77",
        "ad81ae5b0b1c55c9",
    ],
}


@pytest.mark.parametrize(("name", "height", "width"), DEMO_SAMPLES)
def test_demo_recipes_make_the_samples_that_the_shipped_weights_were_trained_on(name, height, width):
    transform = TrainingTransform(systems.get(name).recipe)
    digests = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        mask = random.integers(0, 8, (height, width), np.uint8)
        mask[mask == 7] = 255
        state = generator(seed)
        digest = hashlib.sha256()
        for tensor in (*transform(image, mask, state), state.get_state()):
            digest.update(tensor.contiguous().numpy().tobytes())
        digests.append(digest.hexdigest()[:16])
    assert digests == DEMO_SAMPLES[name, height, width]


def test_arrays_may_be_views_of_any_kind():
    image, mask = photo(60, 80), photo(60, 80, 1)[..., 0] // 64
    voc = replace(Recipe(), resize=(160, 80), crop=(72, 96))
    for recipe in (voc, replace(voc, resize=None), replace(NEUTRAL, flip=1.0, quarter_turns=True)):
        for turns in (1, 2):
            views = np.rot90(image, turns), np.rot90(mask, turns)
            for view in views:
                view.flags.writeable = False
            ours = TrainingTransform(recipe)(*views, generator(3))
            wanted = TrainingTransform(recipe)(*map(np.ascontiguousarray, views), generator(3))
            assert torch.equal(ours[0], wanted[0]) and torch.equal(ours[1], wanted[1])


def test_neutral_values_leave_the_sample_as_it_is():
    image, mask = photo(20, 30), np.arange(600, dtype=np.uint8).reshape(20, 30)
    ours, labels = TrainingTransform(NEUTRAL)(image, mask, generator())
    np.testing.assert_array_equal(denormalise(ours), image)
    np.testing.assert_array_equal(labels.numpy(), mask)
    assert ours.dtype == torch.float32 and labels.dtype == torch.int64


@given(st.integers(0, 10**6), st.integers(5, 90), st.integers(5, 90))
def test_image_and_mask_move_together(seed, height, width):
    """The mask is painted into the image; nearest and bilinear then agree away from its borders."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 :, width // 4 :] = 1
    image = np.repeat(mask[..., None] * 200, 3, axis=2).astype(np.uint8)
    recipe = replace(Recipe(), resize=(80, 60), crop=(48, 40), photometric=False, quarter_turns=True)
    ours, labels = TrainingTransform(recipe)(image, mask, generator(seed))
    assert labels.shape == ours.shape[1:] == (48, 40)
    red, known = denormalise(ours)[..., 0].astype(int), labels.numpy() != 255
    flat = ((red < 5) | (red > 195)) & known
    np.testing.assert_array_equal((red > 100)[flat], (labels.numpy() == 1)[flat])
    assert flat.sum() >= 0.2 * known.sum()


def test_padding_is_half_on_each_side():
    image, mask = (
        pad(np.ones((4, 7, 3), np.float32), (9, 10), 0),
        pad(np.ones((4, 7), np.uint8), (9, 10), 255),
    )
    assert mask.shape == (9, 10)
    assert (mask[2:6, 1:8] == 1).all() and (mask == 255).sum() == 90 - 28
    for channel in range(3):
        np.testing.assert_array_equal(image[..., channel] == 0, mask == 255)


SIDES = st.integers(1, 90)


@st.composite
def resizings(draw):
    """Sizes before and after."""
    old, new = (draw(SIDES), draw(SIDES)), (draw(SIDES), draw(SIDES))
    kind = draw(st.sampled_from(["any", "half", "near"]))
    if kind == "half":  # where OpenCV averages blocks of four
        new = max(old[0] // 2, 1), max(old[1] // 2, 1)
    if kind == "near":
        new = old[0] + draw(st.integers(0, 2)), max(old[1] + draw(st.integers(-2, 2)), 1)
    return old, new


@settings(max_examples=200, deadline=None)
@given(resizings(), st.integers(0, 10**6))
def test_images_are_resized_bilinearly(case, seed):
    old, new = case
    image = np.random.default_rng(seed).integers(0, 256, (*old, 3), np.uint8)
    assert np.abs(resize_image(image, new) - exact_bilinear(image, new)).max() < 1


@given(resizings())
def test_masks_are_resized_by_pixel_centres(case):
    """As torchvision does it; where a centre lies between two pixels, that rounds and we take the later."""
    (height, width), new = case
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    for places, axis in ((rows, 0), (columns, 1)):
        ours = resize_mask(places, new)
        theirs = tv.resize(torch.tensor(places)[None], list(new), InterpolationMode.NEAREST_EXACT)[0].numpy()
        centres = np.arange(0.5, new[axis]) * places.shape[axis] / new[axis]
        sure = np.abs(centres - centres.round()) > 1e-3
        np.testing.assert_array_equal(ours.compress(sure, axis), theirs.compress(sure, axis))
        first = ours[:, 0] if axis == 0 else ours[0]
        np.testing.assert_array_equal(first, np.floor(centres + 1e-9))


@pytest.mark.parametrize("seed", range(30))
def test_a_crop_is_varied_where_that_can_be_had(seed):
    mask = np.zeros((60, 200), np.uint8)
    mask[:, 60:] = np.arange(140) // 10 % 3  # most windows qualify, those at the left do not
    mask[:5] = 255
    _, window = random_crop(np.stack([mask] * 3, -1), mask, (40, 40), 0.75, generator(seed))
    counts = np.bincount(window[window != 255])
    assert window.shape == (40, 40) and (counts > 0).sum() >= 2 and counts.max() < 0.75 * counts.sum()


@pytest.mark.parametrize(("stripe", "draws"), [(74, 1), (75, 10), (100, 10), (0, 10)])
def test_a_window_is_drawn_again_up_to_ten_times(stripe, draws, monkeypatch):
    """One class on 74, 75 and all 100 labelled columns; none labelled."""
    mask = np.full((8, 120), 255, np.uint8)
    if stripe:
        mask[:, :100] = 254
        mask[:, :stripe] = 0
    counted = []
    monkeypatch.setattr(transforms, "integer", lambda low, *_: counted.append(low) or low)
    _, window = random_crop(mask, mask, (8, 120), 0.75, generator())
    assert len(counted) == 2 * draws  # top and left
    np.testing.assert_array_equal(window, mask)


def test_a_ratio_of_one_takes_the_first_window(monkeypatch):
    drawn = []
    monkeypatch.setattr(transforms, "integer", lambda low, *_: drawn.append(low) or low)
    mask = np.zeros((8, 8), np.uint8)  # of one class
    random_crop(mask, mask, (8, 8), 1.0, generator())
    assert len(drawn) == 2


def test_whole_numbers_are_drawn_from_both_ends():
    assert {transforms.integer(3, 5, generator(seed)) for seed in range(40)} == {3, 4, 5}


def test_a_crop_of_one_class_is_taken_if_there_is_no_other():
    mask = np.full((60, 60), 3, np.uint8)
    image, window = random_crop(photo(60, 60), mask, (90, 40), 0.75, generator())
    assert window.shape == (60, 40) and image.shape == (60, 40, 3)


def test_crops_reach_every_corner():
    position = np.arange(16, dtype=np.uint8).reshape(4, 4)
    seen = {int(random_crop(position, position, (3, 3), 1.0, generator(s))[1][0, 0]) for s in range(60)}
    assert seen == {0, 1, 4, 5}


def test_resize_factors_cover_their_range():
    mask = np.zeros((100, 150), np.uint8)
    for limits in ((2048, 64), (64, 2048)):
        heights = [random_resize(mask, mask, limits, (0.5, 4.0), generator(s))[1].shape[0] for s in range(80)]
        assert 31 <= min(heights) < 48 and 240 < max(heights) <= 256


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_both_limits_are_multiplied_by_the_factor(factor):
    mask = np.zeros((100, 150), np.uint8)
    resized = random_resize(mask, mask, (150, 100), (factor, factor), generator(0))[1]
    assert resized.shape == (100 * factor, 150 * factor)


def test_flips_happen_half_the_time_and_turns_in_quarters():
    mask = np.arange(9, dtype=np.uint8).reshape(3, 3)
    transform = TrainingTransform(replace(NEUTRAL, flip=0.5, quarter_turns=True))
    corners = [int(transform(photo(3, 3), mask, generator(s))[1][0, 0]) for s in range(200)]
    shares = np.bincount(corners, minlength=9) / 200
    assert set(np.flatnonzero(shares)) == {0, 2, 6, 8} and shares.max() < 0.4
    mirrored = TrainingTransform(replace(NEUTRAL, flip=1.0))(photo(3, 3), mask, generator())[1]
    np.testing.assert_array_equal(mirrored.numpy(), mask[:, ::-1])


@given(st.integers(0, 10**6))
def test_distorted_colours_stay_colours_and_depend_on_the_generator_alone(seed):
    image = photo(8, 8)
    distorted = photometric_distortion(image, generator(seed))
    assert distorted.dtype == np.float32 and distorted.min() >= 0 and distorted.max() <= 255
    torch.manual_seed(seed)  # of no influence
    np.testing.assert_array_equal(distorted, photometric_distortion(image, generator(seed)))


def torchvisions(image: np.ndarray, random: torch.Generator) -> np.ndarray:
    """Distort an image by torchvision's functions, as far as they agree with the protocol.

    Each of the protocol's changes is drawn for itself, in its order, and made in floats.
    """

    def drawn(low: float, high: float) -> float | None:
        return transforms.uniform(low, high, random) if transforms.chance(0.5, random) else None

    contrast_first = transforms.chance(0.5, random)
    values = (image.astype(np.float64) + (drawn(-32, 32) or 0)).clip(0, 255)
    if contrast_first:
        values = (values * (drawn(0.5, 1.5) or 1)).clip(0, 255)
    factor = drawn(0.5, 1.5) or 1
    for pixel in values.reshape(-1, 3):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
        pixel[:] = 255 * np.array(colorsys.hsv_to_rgb(hue, min(saturation * factor, 1), value))
    planes = torch.tensor(values / 255).permute(2, 0, 1)
    values = tv.adjust_hue(planes, (drawn(-18, 18) or 0) / 180).permute(1, 2, 0).numpy() * 255
    return values if contrast_first else (values * (drawn(0.5, 1.5) or 1)).clip(0, 255)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6))
def test_colours_are_distorted_as_the_protocol_says(seed):
    image = np.random.default_rng(seed).integers(0, 256, (5, 23, 3), np.uint8)
    ours, theirs = generator(seed), generator(seed)
    np.testing.assert_allclose(photometric_distortion(image, ours), torchvisions(image, theirs), atol=0.02)
    assert torch.equal(ours.get_state(), theirs.get_state())


COLOURS = st.tuples(*[st.integers(0, 255)] * 3)


@given(COLOURS, st.floats(0.5, 1.5), st.floats(-1, 1), st.integers(1, 40))
def test_saturation_and_hue_are_those_of_hsv(colour, factor, turn, width):
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    wanted = np.array(colorsys.hsv_to_rgb((hue + turn) % 1, min(saturation * factor, 1), value)) * 255
    image = np.full((2, width, 3), colour, np.float32)  # OpenCV has other code for a row's last few pixels
    before = image.copy()
    np.testing.assert_allclose(
        adjust_hsv(image, factor, turn), np.broadcast_to(wanted, image.shape), atol=0.02
    )
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("turn", [1 / 3, -1 / 3, 2 / 3])
def test_every_hue_turns(turn):
    """All hues of the circle, also those that are turned beyond its end."""
    hues = np.linspace(0, 1, 721)[:-1]
    image = 255 * np.array([[colorsys.hsv_to_rgb(hue, 0.7, 0.9) for hue in hues]], np.float32)
    wanted = 255 * np.array([[colorsys.hsv_to_rgb((hue + turn) % 1, 0.7, 0.9) for hue in hues]])
    np.testing.assert_allclose(adjust_hsv(image.astype(np.float32), 1, turn), wanted, atol=0.02)
