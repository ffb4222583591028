"""What a config tells the training of a head, and what it asks of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mercli import registry
from mercli.config import FitConfig
from mercli.engines.devices import precision, resolve
from mercli.fusion import dialogues, losses
from mercli.fusion.batch import Examples, statistics
from mercli.fusion.bundle import whole_options
from mercli.fusion.calibration import log_frequencies
from mercli.fusion.sampling import drawn
from mercli.fusion.source import numbered, source
from mercli.fusion.training import Schedule
from mercli.jobs.fits import covering, kinds
from mercli.jobs.fits.dataset import Data
from mercli.labels import FIGURES
from mercli.types import LabelScheme

Taught = tuple[Data, Sequence[covering.Part]]
"""The data of a head's first fit, and the parts of them that it learns from."""


def ready(config: FitConfig, heads: Iterable[str], scheme: LabelScheme) -> None:
    """Raise ``MerError`` where a device, its precision, a head or its option is not there, before a run is made.

    Or where a head is not for labels of the scheme's kind.
    """
    device = resolve(config.device)
    if config.precision != "auto":
        precision(config.precision, device)
    for head in heads:
        options = config.head.options if head == config.head.name else {}
        whole_options(head, options)
        kinds.check_head(head, options, scheme, config.command)


def adjusts(config: FitConfig) -> bool:
    """Tell whether training adds the corpora's log-priors: where nothing else balances, unless the config says so."""
    if config.loss.adjust_prior is not None:
        return config.loss.adjust_prior
    return not _weighs(config)


def _weighs(config: FitConfig) -> bool:
    return config.loss.class_weights != "none" or config.sampler in ("balanced", "oversample")


def balances(config: FitConfig) -> bool:
    """Tell whether logits come out under a uniform prior; else they hold that of the training data as it is drawn."""
    partly = config.sampler == "oversample" and config.oversample is not None and config.loss.class_weights == "none"
    return adjusts(config) or (_weighs(config) and not partly)


def held_prior(config: FitConfig, learn: Examples, classes: int) -> tuple[float, ...]:
    """Return the class frequencies (K,) that logits hold where nothing balanced their training: those of an epoch."""
    import torch

    if balances(config):
        return ()
    groups = numbered(learn) if config.sampler == "by-corpus" else torch.from_numpy(learn.targets)
    order = drawn(config.sampler, groups, torch.Generator().manual_seed(config.seed), config.oversample)
    return tuple(map(float, np.exp(log_frequencies(learn.targets[order.numpy()], classes))))


def evens(config: FitConfig) -> bool:
    """Tell whether labels that many may hold are weighted to even odds."""
    return config.loss.class_weights == "balanced" or config.loss.adjust_prior is not False


def schedule(config: FitConfig, targets: Any, scheme: LabelScheme, seed: int) -> Schedule:
    """Return what the loop is told by a config; ``targets``: those of the training items, a tensor (N,) or (N, K)."""
    objective = losses.penalty(scheme, config.loss, targets, balanced=evens(config))
    return Schedule(
        config.epochs,
        config.patience,
        config.batch,
        config.lr,
        config.weight_decay,
        config.modality_dropout,
        seed,
        config.optimizer,
        config.schedule,
        objective,
        config.accumulate,
        config.clip,
        config.monitor or FIGURES[scheme.kind][0],  # type: ignore[arg-type]  # each is a monitor
        config.sampler,
        config.dropout_kind,
        config.oversample,
        config.mixup,
        config.curriculum,
        config.precision if config.precision != "auto" else "fp32",
        scheme,
    )


def precisions(taught: Mapping[str, Taught], heads: Mapping[str, FitConfig]) -> dict[str, str]:
    """Return the precision that each head with data is trained at; ``auto`` is tried on the first training batch."""
    return {
        name: heads[name].precision if heads[name].precision != "auto" else _tried(heads[name], *own)
        for name, own in taught.items()
    }


def _tried(config: FitConfig, data: Data, train: Sequence[covering.Part]) -> str:
    import torch

    from mercli.fusion.precision import settled

    device = resolve(config.device)
    torch.manual_seed(config.seed)
    learned = statistics(data.examples(train), config.reduce)
    widths = learned.widths(data.dims)
    head = registry.build("heads", config.head.name, widths, data.scheme, options=config.head.options).to(device)
    learn = data.examples(train, talk=dialogues.asks(head))
    first = learn.subset(np.arange(min(config.batch, len(learn))))
    plan = schedule(config, torch.from_numpy(first.targets).to(device), data.scheme, config.seed)
    return settled("auto", head, source(first, learned, data.dims, device), plan)
