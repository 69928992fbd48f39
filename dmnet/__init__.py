"""Semantic segmentation with dynamic multi-scale filters (DMNet, He, Deng and Qiao, ICCV 2019).

```
model = dmnet.load_pretrained("demo_scale")
labels = dmnet.predict(model, "photo.jpg")
```

Names and modules are imported when they are first used: `import dmnet` alone doesn't load PyTorch, so that
the command line answers at once and the processes that draw pictures start quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "DMNet": "model",
    "DynamicConvModule": "dynamic",
    "build_model": "model",
    "dynamic_depthwise_conv": "dynamic",
    "evaluate": "inference",
    "load_checkpoint": "zoo",
    "load_pretrained": "zoo",
    "overlay": "plots",
    "predict": "inference",
    "save_weights": "checkpoints",
    "train": "training",
}
_MODULES = {
    name: name
    for name in (
        "backbone", "checkpoints", "classes", "datasets", "dynamic", "errors", "export", "files", "images",
        "inference", "losses", "metrics", "model", "plots", "systems", "training", "transforms",
    )
} | {  # moved; the old names go with the next version
    "notebook": "book", "scores": "benchmark.scores", "submissions": "benchmark.submissions",
}  # fmt: skip

__all__ = sorted([*_HOMES, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"dmnet.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"dmnet.{_MODULES[name]}")
    raise AttributeError(f"module 'dmnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
