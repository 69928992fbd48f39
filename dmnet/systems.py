"""What can be built: architectures, recipes and protocols as frozen dataclasses.

A *system* (timm calls it a model, mmsegmentation a config) is an architecture together with the data set, the
training recipe and the evaluation protocol behind its number. All that have a name are in `dmnet.zoo`.
"""

import difflib
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from dmnet.errors import DMNetError, UnknownSystemError

# A word that is none of the known ones would otherwise choose something in silence (optimizer="SGD" AdamW),
# and a wrong number would end in an error deep in PyTorch.
CHECKED = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
Count = Annotated[int, BeforeValidator(lambda n: n.item() if isinstance(n, np.integer) else n), Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(gt=0)]
Size = Annotated[tuple[Count, Count], Field(strict=False)]  # not strict: JSON has lists for tuples
Range = Annotated[tuple[Factor, Factor], Field(strict=False)]
Weights = Annotated[tuple[float, ...], Field(strict=False)]
T = TypeVar("T")


def _plain_errors(kind: type[T]) -> type[T]:
    """Let a pydantic dataclass say in a line which field has which value, and what it may be."""
    check = kind.__init__

    @wraps(check)
    def init(self: T, **values: Any) -> None:
        try:
            check(self, **values)
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "value_error":  # of __post_init__, in our words already
                raise first["ctx"]["error"] from None
            name, may_be = str(first["loc"][0]), first["msg"].partition("Input should be ")[2]
            if first["type"] == "unexpected_keyword_argument":
                raise TypeError(f"{kind.__name__} has no field {name!r}") from None
            may_be = may_be or "a tuple of another length"
            raise DMNetError(f"{name} must be {may_be}, got {values[name]!r}") from None

    kind.__init__ = init  # type: ignore[method-assign, assignment]
    return kind


@_plain_errors
@checked_dataclass(frozen=True, kw_only=True, config=CHECKED)
class Architecture:
    """What `dmnet.model.DMNet` builds.

    The defaults are the published network with ResNet-50 at output stride 8 on 21 classes [He, Deng and Qiao
    2019, section 3; both public implementations]. Derived in {doc}`04_dmnet`.
    """

    backbone: str = "resnet50"  # see dmnet.backbone
    stem: Literal["deep", "plain"] = "deep"  # "v1c": three 3x3 convolutions; "plain": one 7x7, as torchvision
    output_stride: Count = 8
    num_classes: Count = 21
    channels: Count = 512  # C: width of each scale
    filter_sizes: Annotated[tuple[Count, ...], Field(strict=False)] = (1, 3, 5, 7)  # k of each scale
    filters: Literal["dynamic", "static"] = "dynamic"  # "static": learned once, for comparison only
    fusion_kernel: Count = 3
    fusion_channels: Count = 512
    aux_channels: Count | None = 512  # width of the auxiliary head; None leaves it out
    dropout: Share = 0.1
    align_corners: bool = False  # how logits are upsampled; True in mmseg's 769x769 systems

    def __post_init__(self) -> None:
        if self.fusion_kernel % 2 == 0:
            raise DMNetError(f"fusion_kernel must be odd, or the logits grow, got {self.fusion_kernel}")


@_plain_errors
@checked_dataclass(frozen=True, kw_only=True, config=CHECKED)
class Recipe:
    """How a system is trained. The defaults are ssseg's recipe for PASCAL VOC. Derived in {doc}`06_training`.

    Lengths are in pixels as (height, width); the resize limits are (long side, short side).
    """

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: NotNegative = 0.01
    final_learning_rate: NotNegative = 1e-4  # where the schedule ends
    schedule: Literal["poly", "cosine"] = "poly"
    power: Factor = 0.9  # of the poly schedule
    warmup: Annotated[int, Field(ge=0)] = 0  # iterations of linear warm-up
    momentum: Share = 0.9  # SGD's momentum, AdamW's first beta
    weight_decay: NotNegative = 5e-4  # on all parameters
    batch_size: Count = 16  # images per step, all devices together
    epochs: Count | None = 60  # either epochs ...
    iterations: Count | None = None  # ... or iterations
    aux_weight: NotNegative = 0.4  # of the auxiliary loss
    class_weights: Weights = ()  # of the first classes in the cross-entropy; the others have 1
    label_stride: Count = 1  # > 1: loss on every n-th pixel of a randomly shifted grid, much cheaper
    resize: Size | None = (2048, 512)
    scale_range: Range = (0.5, 2.0)  # random factor on `resize`
    crop: Size | None = (512, 512)
    cat_max_ratio: Share = 0.75  # a crop with more of one class is drawn again, up to 10 times
    flip: Share = 0.5  # probability of a horizontal flip
    quarter_turns: bool = False  # rotate by a random multiple of 90 degrees
    photometric: bool = True
    pretrained: bool = True  # start the backbone from ImageNet weights
    freeze_bn: bool = False  # batch norm with its running statistics, for batches of a few small crops


@_plain_errors
@checked_dataclass(frozen=True, kw_only=True, config=CHECKED)
class Evaluation:
    """How a system is scored; see `protocol` for other ways. Derived in {doc}`07_evaluation`."""

    resize: Size | None = (2048, 512)  # (long side, short side), ratio kept
    window: Size | None = None  # (height, width) of each crop; None: the whole image at once
    window_stride: Size | None = None  # (down, across)
    scales: Annotated[tuple[Factor, ...], Field(strict=False, min_length=1)] = (1.0,)  # on `resize`; averaged
    flip: bool = False  # predict the mirrored image too
    average: Literal["logits", "softmax"] = "logits"  # what is averaged: ssseg logits, mmseg probabilities
    # To the original size: ssseg at once, mmseg by way of the resized image's size (both so with windows).
    upsampling: Literal["direct", "two-step"] = "direct"

    def __post_init__(self) -> None:
        window, stride = self.window, self.window_stride
        given = f"got window={window}, window_stride={stride}"
        if (window is None) != (stride is None):
            raise DMNetError(f"window and window_stride belong together, {given}: give both or neither")
        if window and stride and (stride[0] > window[0] or stride[1] > window[1]):
            raise DMNetError(f"window_stride must be at most the window, or there are gaps, {given}")


@dataclass(frozen=True, kw_only=True)
class System:
    """One thing that can be built, trained and scored under one name. Shown in {doc}`04_dmnet`."""

    name: str
    dataset: str
    architecture: Architecture
    recipe: Recipe
    evaluation: Evaluation
    classes: tuple[str, ...] = ()
    published: Any = None  # a `dmnet.zoo.Published`
    weights: str | None = None  # file below data/weights that comes with the project
    departures: str = field(default="", compare=False)  # where it differs from the published network, and why


def zoo() -> Any:
    """Return `dmnet.zoo`, which has all systems, importing it only now. Used in {doc}`04_dmnet`."""
    import dmnet.zoo

    return dmnet.zoo


def names() -> tuple[str, ...]:
    """Return the names of all systems: ssseg's, mmseg's, then our own. Used in {doc}`04_dmnet`."""
    return (*zoo().PUBLISHED, *zoo().OWN)


def get(name: str) -> System:
    """Return the system called `name`, or raise `UnknownSystemError`. Used in {doc}`04_dmnet`."""
    if system := zoo().OWN.get(name) or zoo().PUBLISHED.get(name):
        return system
    near = difflib.get_close_matches(name, names(), n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`dmnet systems` lists them all."
    raise UnknownSystemError(f"there is no system called {name!r}. {hint}")


MS_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # of the published "ms+flip" scores [mmsegmentation]
PROTOCOLS: dict[str, dict[str, Any]] = {  # what each changes of the system's own
    "published": {},
    "whole": {"scales": (1.0,), "flip": False, "window": None, "window_stride": None},
    "slide": {"scales": (1.0,), "flip": False},
    "ms+flip": {"scales": MS_SCALES, "flip": True},
}


def protocol(
    system: System, name: str = "published", *, window: Any = None, stride: Any = None, **changes: Any
) -> Evaluation:
    """Return a way to score a system, with single settings changed. Derived in {doc}`07_evaluation`.

    Args:
        system: whose resize limits, window and way of averaging are the starting point.
        name: "published", the system's own; "whole", the whole image at one scale; "slide", windows at one
            scale, of the size that the system was trained on unless it has its own; "ms+flip", test-time
            augmentation by six scales and their mirror images.
        window: height and width of the window, in pixels.
        stride: of the window, down and across; by default two thirds of it, as mmsegmentation slides.
        **changes: other fields of `Evaluation`, e.g. `scales=(0.5, 1.0)`; None leaves one as it is.

    Raises:
        DMNetError: if there is no such protocol, a stride has no window, or a setting cannot be used.
    """
    if name not in PROTOCOLS:
        raise DMNetError(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    if name == "slide" and window is None and system.evaluation.window is None:
        window = system.recipe.crop
        if window is None:
            raise DMNetError(f"{system.name} was trained on whole images: give the window (--window)")
    settings = PROTOCOLS[name] | {key: value for key, value in changes.items() if value is not None}
    if window is not None:  # 341 of 512, 513 of 769
        settings |= {"window": window, "window_stride": tuple(max(round(n * 2 / 3), 1) for n in window)}
    if stride is not None:
        settings["window_stride"] = stride
    return replace(system.evaluation, **settings)
