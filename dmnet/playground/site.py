"""What the book's pages need of the playground, as files in a folder.

```
playground.js, playground.css     the front end
catalogue.json                    worlds, classes, scenes
demo_scale/26.safetensors.gz      a scene; see dmnet.playground.scenes.pack
demo_scale/26.layers.gz           what it is made of, to change it; see dmnet.playground.layers.pack_layers
still/scale-26.png                a scene, and the labels of its 16 subsets, for where no script runs
```

The exported networks, `demo_scale.onnx` and `demo_context.onnx`, are put beside them by `dmnet.export`.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path

from PIL import Image

from dmnet.files import atomic_write
from dmnet.model import DMNet
from dmnet.playground import bundle
from dmnet.playground.catalogue import (
    ALTS,
    FILTER_SIZES,
    HINTS,
    SCENES,
    STILL,
    SUBSETS,
    PlayScene,
    catalogue,
    layers_file,
    scene_file,
    scenes,
)
from dmnet.playground.layers import pack_layers
from dmnet.playground.scenes import full_answer, pack, score, subset_labels
from dmnet.worlds.demo import WORLDS
from dmnet.zoo import load_pretrained


def write_site(folder: Path) -> None:
    """Write all files; scenes and pictures that the folder has already are left as they are.

    Used in {doc}`welcome`.

    Args:
        folder: where to. It is good for one state of the package: `book/extensions/playground_pages.py`.
    """
    write_front_end(folder)
    models = {world: load_pretrained(world) for world in SCENES}
    for scene in scenes():
        _write_once(folder / scene_file(scene), partial(pack, scene, models[scene.world]))
        _write_once(folder / layers_file(scene), partial(pack_layers, scene))
    for scene in STILL:
        if not (folder / "still" / f"{scene.id}.json").exists():
            write_still(scene, models[scene.world], folder / "still")


def _write_once(file: Path, content: Callable[[], bytes]) -> None:
    """Write a file unless it is there."""
    if not file.exists():
        with atomic_write(file) as temporary:
            temporary.write_bytes(content())


def write_front_end(folder: Path) -> None:
    """Write script, style sheet and catalogue. Used in {doc}`welcome`."""
    texts = {"playground.js": bundle.script(), "playground.css": bundle.style()}
    texts["catalogue.json"] = json.dumps(catalogue())
    for name, text in texts.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_text(text, encoding="utf8")


def write_still(scene: PlayScene, model: DMNet, folder: Path) -> None:
    """Write a scene, the labels of its 16 subsets as pictures, and the mIoU of each.

    Used in {doc}`welcome`.
    """
    drawn = scene.draw()
    palette = WORLDS[scene.world].classes.palette
    with atomic_write(folder / f"{scene.id}.png") as temporary:
        Image.fromarray(drawn.image).save(temporary)
    answers = subset_labels(model, full_answer(scene, drawn, model), drawn.mask.shape)
    scores = {}
    for gates, labels in zip(SUBSETS, answers, strict=True):
        name = subset_name(gates)
        scores[name] = score(labels, drawn.mask, len(palette))
        picture = Image.fromarray(labels)
        picture.putpalette(palette.tobytes())
        with atomic_write(folder / f"{scene.id}-{name}.png") as temporary:
            picture.save(temporary, optimize=True)
    with atomic_write(folder / f"{scene.id}.json") as temporary:
        temporary.write_text(json.dumps(scores))


def subset_name(gates: Sequence[int]) -> str:
    """Return which scales are on, e.g. "1011" without 3 x 3. Used in {doc}`welcome`."""
    return "".join(map(str, gates))


def still_html(folder: Path, address: str) -> str:
    """Return the pictures for a page where no script runs. Used in {doc}`welcome`.

    Args:
        folder: where `write_site` has put the files.
        address: of that folder, as seen from the page, ending in "/".
    """
    parts = [
        "<p>The interactive playground needs JavaScript and a server: <code>make serve</code> brings it "
        "alive. Here are the answers of all 16 subsets of the four scales, for three scenes. Above each: "
        "which scales are on, and the mIoU.</p>"
    ]
    for scene in STILL:
        scores = json.loads((folder / "still" / f"{scene.id}.json").read_text())
        parts.append(f"<p>{escape(scene.title)}: {escape(HINTS[scene.world])}</p>")
        parts.append(f'<img src="{address}still/{scene.id}.png" alt="{escape(ALTS[scene.world])}">')
        items = [_still_item(scene, name, scores[name], address) for name in reversed(scores)]
        parts.append(f'<ul class="subsets">{"".join(items)}</ul>')
    return f'<div class="dmnet-still">{"".join(parts)}</div>'


def _still_item(scene: PlayScene, name: str, miou: float, address: str) -> str:
    """Return the picture of one subset, and what it is."""
    on = [str(k) for k, bit in zip(FILTER_SIZES, name, strict=True) if bit == "1"]
    words = f"scales {', '.join(on)}" if on else "no scale"
    alt = f"Labels of {scene.title} with {words}: {miou:.0%} mIoU"
    source = f"{address}still/{scene.id}-{name}.png"
    return f'<li>{words}: {miou:.0%}<img src="{source}" alt="{alt}" loading="lazy"></li>'
