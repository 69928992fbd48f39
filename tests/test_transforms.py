"""Both pipelines: against OpenCV, against the colour space's definition, and in the protocol's order."""

import colorsys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dmnet import systems, transforms
from dmnet.errors import DataError, UnknownSystemError
from dmnet.systems import Recipe
from dmnet.transforms import (
    MEAN,
    STD,
    denormalise,
    evaluation_image,
    fitted_size,
    normalise,
    pad_to,
    photometric_distortion,
    random_crop,
    random_resize,
    saturate,
    training_transform,
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


@pytest.mark.parametrize("size", [(375, 500), (1080, 720), (33, 47)])
def test_evaluation_image_is_opencvs_within_one_grey_level(size):
    image = photo(*size)
    height, width = fitted_size(size, (2048, 512))
    wanted = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    ours = evaluation_image(VOC, image)
    assert ours.dtype == torch.float32 and ours.shape == (3, height, width)
    difference = denormalise(ours).astype(int) - wanted
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.15  # OpenCV computes with 11 bits after the point


def test_normalisation_is_that_of_imagenet():
    white = torch.full((3, 2, 2), 255, dtype=torch.uint8)
    wanted = [(255 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
    torch.testing.assert_close(normalise(white)[:, 0, 0], torch.tensor(wanted))
    image = photo(9, 7)
    np.testing.assert_array_equal(denormalise(normalise(torch.tensor(image).permute(2, 0, 1))), image)


def test_evaluation_image_takes_what_can_be_read(tmp_path):
    image = photo(20, 30)
    Image.fromarray(image).save(tmp_path / "photo.png")
    wanted = evaluation_image("demo_scale", image)
    assert wanted.shape == (3, 20, 30)
    for same in (tmp_path / "photo.png", str(tmp_path / "photo.png"), Image.fromarray(image)):
        assert torch.equal(evaluation_image("demo_scale", same), wanted)
    assert torch.equal(evaluation_image(None, image), wanted)
    assert evaluation_image(VOC, np.zeros((1, 1), np.uint8)).shape == (3, 512, 512)
    with pytest.raises(UnknownSystemError, match="demo_scale"):
        evaluation_image("demo_scael", image)
    with pytest.raises(DataError, match=r"missing\.jpg"):
        evaluation_image(VOC, tmp_path / "missing.jpg")


# Training


def test_the_steps_come_in_the_protocols_order(monkeypatch):
    order = []

    def noting(name, step):
        return lambda *arguments: (order.append(name), step(*arguments))[1]

    for name in ("random_resize", "random_crop", "photometric_distortion", "normalise", "pad_to"):
        monkeypatch.setattr(transforms, name, noting(name, getattr(transforms, name)))
    recipe = replace(Recipe(), resize=(64, 32), crop=(32, 32))
    training_transform(recipe)(photo(40, 40), np.eye(40, dtype=np.uint8), generator())
    assert order == ["random_resize", "random_crop", "photometric_distortion", "normalise", "pad_to"]


def test_neutral_values_leave_the_sample_as_it_is():
    image, mask = photo(20, 30), np.arange(600, dtype=np.uint8).reshape(20, 30)
    ours, labels = training_transform(NEUTRAL)(image, mask, generator())
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
    ours, labels = training_transform(recipe)(image, mask, generator(seed))
    assert labels.shape == ours.shape[1:] == (48, 40)
    red, known = denormalise(ours)[..., 0].astype(int), labels.numpy() != 255
    flat = ((red < 5) | (red > 195)) & known
    np.testing.assert_array_equal((red > 100)[flat], (labels.numpy() == 1)[flat])
    assert flat.sum() >= 0.2 * known.sum()


def test_padding_is_half_on_each_side():
    image, mask = torch.ones(3, 4, 7), torch.ones(4, 7, dtype=torch.uint8)
    image, mask = pad_to(image, mask, (9, 10))
    assert mask.shape == (9, 10)
    assert (mask[2:6, 1:8] == 1).all() and (mask == 255).sum() == 90 - 28
    assert torch.equal(image[0] == 0, mask == 255)


@pytest.mark.parametrize("seed", range(30))
def test_a_crop_is_varied_where_that_can_be_had(seed):
    mask = torch.zeros(60, 200, dtype=torch.uint8)
    mask[:, 60:] = torch.arange(140) // 10 % 3  # most windows qualify, those at the left do not
    mask[:5] = 255
    _, window = random_crop(mask[None].expand(3, -1, -1), mask, (40, 40), 0.75, generator(seed))
    counts = torch.bincount(window[window != 255].long())
    assert window.shape == (40, 40) and (counts > 0).sum() >= 2 and counts.max() < 0.75 * counts.sum()


def test_a_crop_of_one_class_is_taken_if_there_is_no_other():
    mask = torch.full((60, 60), 3, dtype=torch.uint8)
    image, window = random_crop(torch.zeros(3, 60, 60), mask, (90, 40), 0.75, generator())
    assert window.shape == (60, 40) and image.shape == (3, 60, 40)


def test_crops_reach_every_corner():
    position = torch.arange(16, dtype=torch.uint8).reshape(4, 4)
    seen = {int(random_crop(position[None], position, (3, 3), 1.0, generator(s))[1][0, 0]) for s in range(60)}
    assert seen == {0, 1, 4, 5}


def test_resize_factors_cover_their_range():
    mask = torch.zeros(100, 150, dtype=torch.uint8)
    image = mask.expand(3, -1, -1)
    heights = [
        random_resize(image, mask, (2048, 64), (0.5, 2.0), generator(s))[1].shape[0] for s in range(80)
    ]
    assert 31 <= min(heights) < 40 and 120 < max(heights) <= 128


def test_flips_happen_half_the_time_and_turns_in_quarters():
    mask = np.arange(9, dtype=np.uint8).reshape(3, 3)
    transform = training_transform(replace(NEUTRAL, flip=0.5, quarter_turns=True))
    corners = [int(transform(photo(3, 3), mask, generator(s))[1][0, 0]) for s in range(200)]
    shares = np.bincount(corners, minlength=9) / 200
    assert set(np.flatnonzero(shares)) == {0, 2, 6, 8} and shares.max() < 0.4
    mirrored = training_transform(replace(NEUTRAL, flip=1.0))(photo(3, 3), mask, generator())[1]
    np.testing.assert_array_equal(mirrored.numpy(), mask[:, ::-1])


@given(st.integers(0, 10**6))
def test_distorted_colours_stay_colours_and_depend_on_the_generator_alone(seed):
    image = torch.tensor(photo(8, 8)).permute(2, 0, 1)
    distorted = photometric_distortion(image, generator(seed))
    assert distorted.dtype == torch.float32 and distorted.min() >= 0 and distorted.max() <= 255
    torch.manual_seed(seed)  # of no influence
    assert torch.equal(distorted, photometric_distortion(image, generator(seed)))


def test_a_sixteenth_of_the_images_is_not_distorted():
    image = torch.tensor(photo(8, 8)).permute(2, 0, 1).float()
    same = [torch.allclose(photometric_distortion(image, generator(s)), image) for s in range(800)]
    assert 0.03 < np.mean(same) < 0.10


@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(0.5, 1.5))
def test_saturation_is_the_s_of_hsv(colour, factor):
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    wanted = np.array(colorsys.hsv_to_rgb(hue, min(saturation * factor, 1), value)) * 255
    ours = saturate(torch.tensor(colour, dtype=torch.float32).reshape(3, 1, 1), factor).flatten()
    np.testing.assert_allclose(ours, wanted, atol=0.02)
