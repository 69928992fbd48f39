"""Semantic segmentation with dynamic multi-scale filters (DMNet, He, Deng and Qiao, ICCV 2019).

```
model = dmnet.load_pretrained("demo_scale")
labels = dmnet.predict(model, "photo.jpg")
```

Names and modules are imported when they are first used: `import dmnet` alone doesn't load PyTorch.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see
    from dmnet.checkpoints import save_weights as save_weights
    from dmnet.dynamic import DynamicConvModule as DynamicConvModule
    from dmnet.dynamic import dynamic_depthwise_conv as dynamic_depthwise_conv
    from dmnet.inference import evaluate as evaluate
    from dmnet.inference import predict as predict
    from dmnet.model import DMNet as DMNet
    from dmnet.model import build_model as build_model
    from dmnet.plots import overlay as overlay
    from dmnet.training import train as train
    from dmnet.zoo import load_checkpoint as load_checkpoint
    from dmnet.zoo import load_pretrained as load_pretrained

__version__ = "0.1.0"

_NAMES = {
    "checkpoints": "save_weights",
    "dynamic": "DynamicConvModule dynamic_depthwise_conv",
    "inference": "evaluate predict",
    "model": "DMNet build_model",
    "plots": "overlay",
    "training": "train",
    "zoo": "load_checkpoint load_pretrained",
}
_MOVED = {"notebook": "book", "scores": "benchmark.scores", "submissions": "benchmark.submissions"}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"dmnet.{_HOMES[name]}"), name)
    missing = AttributeError(f"module 'dmnet' has no attribute {name!r}")
    if name.startswith("_"):
        raise missing
    try:
        return import_module(f"dmnet.{_MOVED.get(name, name)}")
    except ModuleNotFoundError as error:
        raise missing if error.name == f"dmnet.{name}" else error from None


def __dir__() -> list[str]:
    return sorted([*__all__, *(module.name for module in iter_modules(__path__))])
