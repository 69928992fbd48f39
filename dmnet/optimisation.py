"""What a recipe says about steps: how many, how large, by which rule."""

import math

import torch
from torch import nn

from dmnet.errors import DMNetError
from dmnet.systems import Recipe


def iterations_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of full batches in an epoch, at least 1: the last, incomplete one is dropped."""
    return max(images // batch_size, 1)


def total_iterations(recipe: Recipe, images: int) -> int:
    """Return the number of steps: the recipe's iterations, or its epochs of full batches."""
    if recipe.iterations is not None:
        return recipe.iterations
    if recipe.epochs is None:
        raise DMNetError("the recipe says neither iterations nor epochs")
    return recipe.epochs * iterations_per_epoch(images, recipe.batch_size)


def learning_rate(recipe: Recipe, iteration: int, iterations: int) -> float:
    r"""Return the learning rate of one step.

    With $t$ = `iteration`, $T$ = `iterations`, $\eta_0$ = `learning_rate`, $\eta_T$ = `final_learning_rate`:

    - poly: $(\eta_0 - \eta_T)\,(1 - t/T)^{0.9} + \eta_T$;
    - cosine: $(\eta_0 - \eta_T)\,(1 + \cos(\pi t/T))/2 + \eta_T$;
    - in the first $w$ = `warmup` steps, $(t + 1)/w$ of that.

    Args:
        recipe: names the schedule and its numbers (`power` is the poly schedule's 0.9).
        iteration: steps done before this one, from 0.
        iterations: steps in all.
    """
    left = 1 - iteration / iterations
    share = left**recipe.power if recipe.schedule == "poly" else (1 - math.cos(math.pi * left)) / 2
    rate = (recipe.learning_rate - recipe.final_learning_rate) * share + recipe.final_learning_rate
    return rate * min((iteration + 1) / recipe.warmup, 1) if recipe.warmup else rate


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer over all parameters; every one decays, as in the public implementations."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), rate, momentum=recipe.momentum, weight_decay=decay)
    return torch.optim.AdamW(model.parameters(), rate, betas=(recipe.momentum, 0.99), weight_decay=decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate
