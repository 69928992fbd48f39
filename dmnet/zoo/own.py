"""Our own systems: two for the drawn data sets and one for CamVid, with weights; a small one for laptops."""

from dataclasses import replace

from dmnet import classes
from dmnet.systems import Architecture, Evaluation, Recipe, System

DEMO_SCALE = System(
    name="demo_scale",
    dataset="demo_scale",
    classes=classes.DEMO_SCALE.names,
    architecture=Architecture(
        backbone="tiny_patches",  # sees 11 pixels: it can name a patch, never its neighbourhood
        num_classes=7,
        channels=16,
        fusion_kernel=1,  # a 3x3 fusion is itself a scale, and hides what the filters contribute
        fusion_channels=64,
        aux_channels=None,  # two stages are too shallow to need one
        dropout=0.0,
    ),
    recipe=Recipe(
        optimizer="adamw",  # finds the two cues in 600 iterations
        learning_rate=3e-3,
        final_learning_rate=0.0,
        schedule="cosine",
        warmup=30,
        weight_decay=1e-3,
        batch_size=8,
        epochs=None,
        iterations=600,
        class_weights=(0.4,),  # coins cover little of a scene
        label_stride=4,
        resize=None,
        scale_range=(1.0, 1.0),  # the question *is* scale: keep it
        crop=None,
        quarter_turns=True,
        photometric=False,  # colour carries the answer
        pretrained=False,
    ),
    evaluation=Evaluation(resize=None),
    weights="demo_scale.safetensors",
    departures="A receptive field of 11 pixels, a 1x1 fusion, narrow layers, no auxiliary head, AdamW.",
)

DEMO_CONTEXT = System(
    name="demo_context",
    dataset="demo_context",
    classes=classes.DEMO_CONTEXT.names,
    architecture=Architecture(
        backbone="tiny_resnet", num_classes=7, channels=16, fusion_channels=48, aux_channels=None, dropout=0.0
    ),
    recipe=replace(
        DEMO_SCALE.recipe,
        optimizer="sgd",
        learning_rate=0.08,  # 8 times the published one; with the warm-up it does not diverge
        schedule="poly",
        warmup=20,
        weight_decay=5e-4,
        iterations=700,
        class_weights=(),
    ),
    evaluation=Evaluation(resize=None),
    weights="demo_context.safetensors",
    departures="One bottleneck per stage, narrow layers, no auxiliary head, another rate, loss on a grid.",
)

SMALL_R18 = System(
    name="small_r18",
    dataset="folder",
    architecture=Architecture(
        backbone="resnet18", stem="plain", channels=64, fusion_channels=128, aux_channels=64
    ),
    recipe=Recipe(batch_size=8, epochs=None, iterations=4000),
    evaluation=Evaluation(),
    departures="ResNet-18 with torchvision's plain stem and an eighth of the published width: for laptops.",
)

STREET = System(
    name="street",
    dataset="camvid",
    classes=classes.CAMVID.names,
    architecture=Architecture(
        backbone="street_resnet", num_classes=11, channels=32, fusion_channels=64, aux_channels=None
    ),
    recipe=Recipe(
        optimizer="adamw",
        learning_rate=2e-3,
        final_learning_rate=0.0,
        schedule="cosine",
        warmup=50,
        weight_decay=1e-2,
        batch_size=8,
        epochs=None,
        iterations=10000,
        # 1 / sqrt(share of the training pixels), mean 1: poles, signs, fences and people are rare
        class_weights=(0.9, 0.75, 3.6, 0.65, 1.7, 1.15, 3.3, 3.4, 1.5, 4.5, 6.7),
        label_stride=2,
        resize=(480, 360),
        scale_range=(0.75, 1.5),
        crop=(240, 320),
        pretrained=False,
    ),
    evaluation=Evaluation(resize=(480, 360)),
    departures="Narrow, from scratch on 367 photographs: no auxiliary head, AdamW, rare classes weigh more.",
    weights="street.safetensors",
)
STREET_QUICK = replace(
    STREET, name="street_quick", recipe=replace(STREET.recipe, iterations=900), weights=None
)

OWN = {system.name: system for system in (DEMO_CONTEXT, DEMO_SCALE, SMALL_R18, STREET, STREET_QUICK)}
