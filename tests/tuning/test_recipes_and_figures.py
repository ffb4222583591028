from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mercli import presets  # noqa: E402
from mercli.errors import ConfigError, DataError  # noqa: E402
from mercli.jobs.tuned.refit import RefitConfig, refit  # noqa: E402
from mercli.tuning.embedded.data import log_prior, read_fer  # noqa: E402
from mercli.tuning.embedded.evaluate import balanced_loss, recalls, temperature  # noqa: E402
from mercli.tuning.embedded.recipes import RECIPES, AudioRecipe, FaceRecipe, altered  # noqa: E402


@pytest.mark.parametrize("modality", sorted(RECIPES))
def test_the_preset_names_every_key_that_the_recipe_does(modality):
    options = presets.load(f"embedded-{modality}", "finetune")["refit"]
    recipe = altered(RECIPES[modality], options)
    assert {key: value for key, value in asdict(recipe).items() if key in options} == options


def test_an_unknown_recipe_key_is_answered_with_the_near_one():
    with pytest.raises(ConfigError, match="epochs"):
        altered(FaceRecipe(), {"epoch": 3})


def test_a_recipe_value_of_the_wrong_kind_is_told():
    with pytest.raises(ConfigError, match="'lr' is 'fast'"):
        altered(AudioRecipe(), {"lr": "fast"})


def test_an_unknown_modality_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'voice'"):
        refit(RefitConfig("voice", tmp_path, tmp_path))


def test_absent_data_are_told_with_their_path(tmp_path):
    with pytest.raises(DataError, match=r"labels\.csv"):
        refit(RefitConfig("audio", tmp_path, tmp_path / "run"))
    with pytest.raises(DataError, match=r"train\.parquet"):
        refit(RefitConfig("face", tmp_path, tmp_path / "run"))


def test_a_parquet_of_another_kind_is_refused(tmp_path):
    import pandas as pd

    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="label and jpeg"):
        read_fer(tmp_path / "x.parquet")


def test_recalls_are_sklearn_s():
    from sklearn.metrics import accuracy_score, balanced_accuracy_score

    draw = np.random.default_rng(0)
    logits, labels = draw.normal(size=(200, 7)), draw.integers(0, 6, 200)
    accuracy, uar = recalls(torch.from_numpy(logits), torch.from_numpy(labels))
    assert accuracy == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    with pytest.warns(UserWarning, match="not in y_true"):
        assert uar == pytest.approx(balanced_accuracy_score(labels, logits.argmax(1)))


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_temperature_undoes_a_scaling_of_calibrated_logits(factor):
    draw = np.random.default_rng(1)
    logits = draw.normal(size=(20_000, 5)) * 1.5
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = torch.from_numpy((chances.cumsum(1) > draw.random((len(logits), 1))).argmax(1))
    found = temperature(torch.from_numpy(logits * factor), labels)
    assert found == pytest.approx(factor, rel=0.08)
    assert balanced_loss(torch.from_numpy(logits * factor), labels, found) <= balanced_loss(
        torch.from_numpy(logits * factor), labels, found * 1.05
    )


def test_temperature_leaves_out_classes_that_do_not_occur():
    logits = torch.tensor([[2.0, 0.0, 9.0], [0.0, 2.0, 9.0], [1.0, 0.0, 9.0], [1.0, 0.0, 9.0]])
    labels = torch.tensor([0, 1, 0, 1])
    assert temperature(logits, labels) == pytest.approx(temperature(logits[:, :2], labels))


def test_log_prior_is_the_share_of_each_class():
    labels = torch.tensor([0, 0, 0, 1])
    assert log_prior(labels, 2).exp().tolist() == pytest.approx([0.75, 0.25])
    root = torch.tensor([3.0, 1.0]).sqrt()
    assert log_prior(labels, 2, 0.5).exp().tolist() == pytest.approx((root / root.sum()).tolist())
