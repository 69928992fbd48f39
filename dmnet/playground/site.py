"""What the book's pages need of the playground, as files in a folder.

```
playground.js, playground.css     the front end; onnx.js: a network without ONNX Runtime, until that is there
live.js, live.css, live-*.js      what brings the figures alive, and each of them
catalogue.json                    worlds, classes, scenes
demo_scale/26.safetensors.gz      a scene; see dmnet.playground.scenes.pack
demo_scale/26.layers.gz           what it is made of, to change it; see dmnet.playground.layers.pack_layers
street/street-1.safetensors.gz    a photograph
still/scale-26.png                a scene, and the labels of its 16 subsets, for where no script runs
```

The exported networks, `demo_scale.onnx.gz` and so on, are put beside them by `dmnet.export`.
"""

import json
from functools import cache
from html import escape
from pathlib import Path

from PIL import Image

from dmnet.metrics import ConfusionMatrix
from dmnet.model import DMNet
from dmnet.playground import bundle
from dmnet.playground.catalogue import ALTS, FILTER_SIZES, STILL, SUBSETS, PlayScene, catalogue, scenes
from dmnet.playground.layers import pack_layers
from dmnet.playground.scenes import pack, subset_labels
from dmnet.worlds.demo import WORLDS
from dmnet.zoo import load_pretrained


def write_site(folder: Path) -> None:
    """Write all files, the catalogue last: where it lies, all others do. Used in {doc}`welcome`."""
    model = cache(load_pretrained)
    for scene in scenes().values():
        (folder / scene.world).mkdir(parents=True, exist_ok=True)
        (folder / scene.file).write_bytes(pack(scene, model(scene.world)))
        if isinstance(scene, PlayScene):
            (folder / scene.layers).write_bytes(pack_layers(scene))
    for scene in STILL:
        write_still(scene, model(scene.world), folder / "still")
    write_front_end(folder)


def write_front_end(folder: Path) -> None:
    """Write scripts, style sheets and catalogue. Used in {doc}`welcome`."""
    texts = {"playground.js": bundle.script(), "playground.css": bundle.style()}
    texts |= {"live.js": bundle.script("load"), "live.css": bundle.style("live")}
    texts["onnx.js"] = bundle.script("onnx")
    for name, text in (texts | {f"live-{one}.js": bundle.script(one) for one in bundle.FIGURES}).items():
        (folder / name).write_text(text, encoding="utf8")
    (folder / "catalogue.json").write_text(json.dumps(catalogue()), encoding="utf8")


def write_still(scene: PlayScene, model: DMNet, folder: Path) -> None:
    """Write a scene, its 16 subsets' labels as pictures, and their mIoU. Used in {doc}`welcome`."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = scene.draw()
    palette = WORLDS[scene.world].classes.palette
    Image.fromarray(drawn.image).save(folder / f"{scene.id}.png")
    scores = {}
    for gates, labels in zip(SUBSETS, subset_labels(model, drawn.image), strict=True):
        name = "".join(map(str, gates))  # which scales are on, e.g. "1011" without 3 x 3
        matrix = ConfusionMatrix(len(palette))
        matrix.update(labels, drawn.mask)
        scores[name] = matrix.miou()
        picture = Image.fromarray(labels)
        picture.putpalette(palette.tobytes())
        picture.save(folder / f"{scene.id}-{name}.png", optimize=True)
    (folder / f"{scene.id}.json").write_text(json.dumps(scores))


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
        parts.append(f"<details{' open' * (scene is STILL[0])}><summary>{escape(scene.title)}</summary>")
        parts.append(f'<img src="{address}still/{scene.id}.png" alt="{escape(ALTS[scene.world])}">')
        parts.append('<ul class="subsets">')
        for name, miou in reversed(scores.items()):
            on = [str(k) for k, bit in zip(FILTER_SIZES, name, strict=True) if bit == "1"]
            words = f"scales {', '.join(on)}" if on else "no scale"
            alt = f"Labels of {scene.title} with {words}: {miou:.0%} mIoU"
            source = f"{address}still/{scene.id}-{name}.png"
            parts.append(f'<li>{words}: {miou:.0%}<img src="{source}" alt="{alt}" loading="lazy"></li>')
        parts.append("</ul></details>")
    return f'<div class="dmnet-still">{"".join(parts)}</div>'
