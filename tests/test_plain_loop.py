"""`train` against the same thing in plain PyTorch: 12 steps of `demo_scale` end with the same bits.

Sums of floats depend on their order. Whoever reorders the head, the loss or the loop changes the last bit
of a gradient, and soon every weight: those that come with the project could not be trained again.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet import systems, worlds
from dmnet.model import DMNet, from_system
from dmnet.sampling import TrainingSamples, training_batches
from dmnet.training import train
from dmnet.transforms import TrainingTransform

STEPS = 12


def plain_logits(model: DMNet, images: Tensor) -> Tensor:
    """[B, 3, H, W] -> [B, K, h, w], every operation of the head in its order."""
    features = model.backbone(images).stage4
    batch, _, height, width = features.shape
    together = [features]
    for scale in model.head.scales:
        k, channels = scale.filter_size, scale.norm.num_features
        reduced = scale.reduce(features)  # convolution, batch norm, ReLU
        filters = scale.generate(F.adaptive_avg_pool2d(features, k))
        padded = F.pad(reduced.reshape(1, -1, height, width), (k // 2,) * 4)
        filtered = F.conv2d(padded, filters.reshape(-1, 1, k, k), groups=batch * channels)
        together.append(F.relu(scale.norm(filtered.reshape(batch, channels, height, width))))
    return model.head.classify(model.head.fuse(torch.cat(together, dim=1)))


def plain_loss(logits: Tensor, labels: Tensor, background: float, stride: int) -> Tensor:
    """Cross-entropy on every `stride`-th row and column, from a random one on."""
    row, column = torch.randint(stride, (2,)).tolist()
    size = labels.shape[-1]
    whole = F.interpolate(torch.eye(logits.shape[-1])[None], size=size, mode="linear")[0].T
    logits = whole[row::stride] @ logits.contiguous() @ whole[column::stride].T
    labels = labels[:, row::stride, column::stride]
    weights = torch.ones(logits.shape[1])
    weights[0] = background
    summed = F.cross_entropy(logits, labels, weights, ignore_index=255, reduction="sum")
    return summed / ((labels != 255).sum() + (background - 1) * (labels == 0).sum())


def test_training_is_the_plain_loop_to_the_last_bit() -> None:
    system, scenes = systems.get("demo_scale"), worlds.DemoDataset("demo_scale", size=64)
    recipe = system.recipe
    assert (recipe.optimizer, recipe.schedule, recipe.final_learning_rate) == ("adamw", "cosine", 0.0)
    torch.manual_seed(0)
    model = from_system(system).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=1e-3)
    samples, losses = TrainingSamples(scenes, TrainingTransform(recipe), recipe.batch_size, seed=0), []
    for step, (images, labels, _) in enumerate(training_batches(samples, 0, STEPS)):
        falling = (1 - math.cos(math.pi * (1 - step / 600))) / 2
        optimizer.param_groups[0]["lr"] = 3e-3 * falling * min((step + 1) / 30, 1)
        optimizer.zero_grad()
        logits = plain_logits(model, images.to(memory_format=torch.channels_last))
        loss = plain_loss(logits, labels, background=0.4, stride=4)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    trained = train(system, scenes, seed=0, stop_after=STEPS, device="cpu", progress=False)
    assert trained.history.loss.tolist() == losses
    for name, tensor in trained.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
