"""The shipped bundle: late fusion of the three embedded encoders, calibrated on logits of data they never saw."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import __version__, registry
from mercli.config import EMBEDDED, Recipe
from mercli.errors import DataError
from mercli.fusion import bundle as bundles
from mercli.fusion.batch import Statistics
from mercli.fusion.calibration import nll
from mercli.jobs.features import encoding
from mercli.labels import CANONICAL, policy_name
from mercli.types import MODALITIES

NAME = "embedded"
PARTS: tuple[str, ...] = MODALITIES
PER_CLASS = 400
SEED = 0

Logits = Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]]


def assemble(parts: Path, output: Path) -> Path:
    """Copy the weights that ``mer finetune`` left under ``parts/<modality>`` to ``output`` and write their bundle.

    Raises ``DataError`` where a modality's weights, card or logits are missing.
    """
    for modality in PARTS:
        for name in (f"{modality}.safetensors", f"{modality}.json", f"{modality}-logits.npz"):
            if not (parts / modality / name).is_file():
                raise DataError(
                    f"'{parts / modality / name}' does not exist", f"mer finetune {modality} -o {parts / modality}"
                )
    output.mkdir(parents=True, exist_ok=True)
    cards = {m: json.loads((parts / m / f"{m}.json").read_text(encoding="utf-8")) for m in PARTS}
    for modality in PARTS:
        for ending in ("safetensors", "json"):
            shutil.copyfile(parts / modality / f"{modality}.{ending}", output / f"{modality}.{ending}")
    temperatures = {m: float(card["temperature"]) for m, card in cards.items()}
    weights, figures = pooling({m: _logits(parts / m / f"{m}-logits.npz") for m in PARTS}, temperatures)
    _write(output, cards, temperatures, weights, figures)
    return output / "bundle"


def _logits(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    with np.load(path, allow_pickle=False) as held:
        return held["logits"].astype(np.float64), held["labels"].astype(np.int64)


def pooling(logits: Logits, temperatures: Mapping[str, float]) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the pooling weight of each modality, and the likelihood of every subset before and after.

    No corpus has all three modalities, so unseen logits of the same class are drawn together: that makes the
    modalities independent given the class, where weights of 1 are right. Real ones are not, so no weight exceeds 1.
    """
    from scipy.optimize import minimize

    triples, labels = together(logits, temperatures)

    def loss(log_weight: NDArray[np.float64]) -> float:
        return nll(np.tensordot(np.exp(log_weight), triples, 1), labels)

    found = np.minimum(1.0, np.exp(minimize(loss, np.zeros(len(PARTS)), method="Nelder-Mead").x))
    weights = {m: round(float(w), 4) for m, w in zip(PARTS, found, strict=True)}
    figures = {
        "negative log-likelihood, weights 1": round(loss(np.zeros(len(PARTS))), 4),
        "negative log-likelihood, fitted weights": round(loss(np.log(found)), 4),
        **{
            f"negative log-likelihood, {m} alone": round(nll(t, labels), 4) for m, t in zip(PARTS, triples, strict=True)
        },
    }
    return weights, figures


def together(logits: Logits, temperatures: Mapping[str, float]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return ``PER_CLASS`` triples a class: calibrated logits (3, N, K) drawn per class, and their labels (N,)."""
    draw = np.random.default_rng(SEED)
    labels = np.repeat(np.arange(len(CANONICAL.names)), PER_CLASS)
    triples = []
    for modality in PARTS:
        values, own = logits[modality]
        rows = np.concatenate([draw.choice(np.flatnonzero(own == k), PER_CLASS) for k in range(len(CANONICAL.names))])
        triples.append(values[rows] / temperatures[modality])
    return np.stack(triples), labels


def _write(
    output: Path,
    cards: Mapping[str, Any],
    temperatures: Mapping[str, float],
    weights: Mapping[str, float],
    figures: Mapping[str, Any],
) -> None:
    import torch

    recipe = Recipe(encoders=EMBEDDED)
    encoders = encoding.build(recipe, PARTS)
    dims = {m: encoders.encoders[m].dim for m in PARTS}
    classes = len(CANONICAL.names)
    head = registry.build("heads", "late", dims, CANONICAL, options={})
    state = {"log_weight": torch.tensor([weights[m] for m in PARTS]).log()}
    for modality, dim in dims.items():
        # the first K numbers of an embedded feature are its logits; the embedding after them is for trained heads
        matrix = torch.zeros(classes, dim)
        matrix[:, :classes] = torch.eye(classes) / temperatures[modality]
        state |= {f"classifiers.{modality}.weight": matrix, f"classifiers.{modality}.bias": torch.zeros(classes)}
    head.load_state_dict(state)
    card = bundles.BundleCard(
        name=NAME,
        scheme=CANONICAL,
        policy=policy_name(),
        recipe=recipe.model_dump(),
        keys=dict(encoders.keys),
        dims=dims,
        head={"name": "late", "version": registry.get("heads", "late").version, "options": {}},
        temperature=1.0,
        priors=_priors(cards),
        trained_on=[use for m in PARTS for use in cards[m]["trained_on"]],
        facts={"mercli": __version__, "temperatures": temperatures, "pooling_weights": weights, "fit": figures},
    )
    bundles.save(output / "bundle", card, head, Statistics.unchanging(dims), _readme(cards, weights, temperatures))


def _priors(cards: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return the class frequencies of every training corpus the cards tell, and their mean as ``train``."""
    priors = {name: np.exp(values).tolist() for m in PARTS for name, values in cards[m]["log_prior"].items()}
    return {"train": np.mean(list(priors.values()), 0).tolist(), **priors}


def _readme(cards: Mapping[str, Any], weights: Mapping[str, float], temperatures: Mapping[str, float]) -> str:
    lines = [
        "# The bundle that ships with mer",
        "",
        "Seven emotions from voice, face and English text, each by a small network; pooled log-linearly over those",
        "that are there, so any subset works. What each figure means, data, licences and limits: docs/model-card.md.",
        "",
        "| modality | temperature | pooling weight |",
        "|---|---|---|",
        *(f"| {m} | {temperatures[m]:.3f} | {weights[m]:.3f} |" for m in PARTS),
        "",
        *(f"- {m}, {name}: {figure['value']:.3f} ({figure['interval'][0]:.3f}-{figure['interval'][1]:.3f})"
          for m in PARTS for name, figure in cards[m]["figures"].items()),
        "",
    ]  # fmt: skip
    return "\n".join(lines)
