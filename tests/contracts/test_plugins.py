"""Every registered plugin keeps its kind's contract."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mercli import registry
from mercli.contracts import Learner
from mercli.errors import MissingExtra
from mercli.labels import CANONICAL
from mercli.types import MODALITIES, Feature, FeatureBundle, LabelScheme, Streams, StreamSettings, Transcript
from tests.contracts.models import MADE

ENCODERS = [spec.name for spec in registry.specs("encoders")]
HEADS = [spec.name for spec in registry.specs("heads")]
DIMS = {"audio": 5, "face": 4, "text": 3}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build an encoder by name, once: with what ships inside, else with a tiny model of its format."""
    folder = tmp_path_factory.mktemp("models")
    held = {}

    def build(name):
        if name not in held:
            try:
                held[name] = registry.build("encoders", name, options=MADE[name](folder) if name in MADE else {})
            except MissingExtra as absent:
                pytest.skip(absent.message)
        return held[name]

    return build


def streams(seconds: float = 1.5, seed: int = 0, size: int = 48, rate: int = 16_000) -> Streams:
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.3 * np.sin(2 * np.pi * 180 * time) * (1 + np.sin(2 * np.pi * 3 * time)) + draw.normal(0, 0.01, len(time))
    frames = round(seconds * 5)
    return Streams(
        audio=sound.astype(np.float32),
        audio_rate=rate,
        faces=draw.integers(0, 255, (frames, size, size, 3), np.uint8),
        face_times=(np.arange(frames) / 5).astype(np.float32),
        face_confidence=np.ones(frames, np.float32),
        transcript=Transcript("what a wonderful day, i am so happy", "given", language="en"),
    )


@pytest.mark.parametrize("kind", registry.KINDS)
def test_listings_are_json_and_tell_where_each_plugin_comes_from(kind, mer):
    answer = mer("list", kind, "--json")
    rows = json.loads(answer.out)
    assert answer.code == 0
    assert rows
    assert all(row["name"] and row["summary"] and row["origin"] and row["version"] for row in rows)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_declares_what_it_makes(name, built):
    spec, encoder = registry.get("encoders", name), built(name)
    assert encoder.modality == spec.facts["modality"]
    assert encoder.modality in MODALITIES
    assert encoder.dim == spec.facts["dim"] or name in MADE
    assert isinstance(encoder.settings, StreamSettings)
    assert encoder.weights
    assert {(t.corpus, t.split) for t in encoder.trained_on} == {(t.corpus, t.split) for t in spec.facts["trained_on"]}


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_gives_the_same_rows_alone_and_in_any_batch(name, built):
    encoder = built(name)
    size, rate = encoder.settings.face_size, encoder.settings.audio_rate
    batch = [streams(1.5, 1, size, rate), streams(0.8, 2, size, rate), streams(2.2, 3, size, rate)]
    together = encoder.encode(batch)
    assert len(together) == 3
    for one, feature in zip(batch, together, strict=True):
        (alone,) = encoder.encode([one])
        assert feature.values.shape == (len(feature.times), encoder.dim)
        assert feature.values.dtype == feature.times.dtype == np.float32
        assert feature.times.shape[1:] == (2,)
        assert feature.valid.dtype == np.bool_
        assert np.isfinite(feature.values).all()
        np.testing.assert_allclose(feature.values, alone.values, atol=2e-4)
        np.testing.assert_array_equal(feature.valid, alone.valid)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_that_finds_nothing_says_so_by_no_valid_row(name, built):
    encoder = built(name)
    size = encoder.settings.face_size
    nothing = Streams(
        audio=np.zeros(8000, np.float32),
        audio_rate=encoder.settings.audio_rate,
        faces=np.zeros((3, size, size, 3), np.uint8),
        face_times=np.arange(3, dtype=np.float32),
        face_confidence=np.zeros(3, np.float32),
        transcript=Transcript("", "given"),
    )
    (feature,) = encoder.encode([nothing])
    assert not feature.valid.any()
    assert np.isfinite(feature.values).all()


@pytest.mark.parametrize("name", [name for name in ENCODERS if registry.get("encoders", name).facts.get("learns")])
def test_what_an_encoder_learns_and_saves_is_what_it_extracts(name, built, tmp_path):
    import torch

    held = built(name)
    assert isinstance(held, Learner)
    assert held.settings.longest is None
    size, rate = held.settings.face_size, held.settings.audio_rate
    batch = [streams(1.5, 1, size, rate), Streams(audio_rate=rate), streams(0.8, 2, size, rate)]
    encoder = registry.build("encoders", name, options=MADE[name](tmp_path))
    network = encoder.learn().train(False)
    values, valid = encoder.rows(encoder.inputs(batch))
    assert not valid[1].any()
    values.square().sum().backward()
    free = {n: p for n, p in network.named_parameters() if p.requires_grad and n != "masked_spec_embed"}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in free.values())
    with torch.no_grad():
        for parameter in free.values():
            parameter *= 1.01
        values, valid = encoder.rows(encoder.inputs(batch))
    (tmp_path / "tuned").mkdir()
    encoder.save(tmp_path / "tuned")
    again = registry.build("encoders", name, options={encoder.place: str(tmp_path / "tuned")})
    for features in (encoder.encode(batch), again.encode(batch)):
        for feature, rows, shown in zip(features, values.numpy(), valid.numpy(), strict=True):
            np.testing.assert_array_equal(feature.valid, shown[: len(feature.valid)])
            np.testing.assert_allclose(feature.values, rows[: len(feature.values)], rtol=1e-3, atol=2e-4)
    assert np.abs(held.encode(batch[:1])[0].values - again.encode(batch[:1])[0].values).max() > 1e-3


def bundles(count: int, dims: dict[str, int], seed: int = 0) -> list[FeatureBundle]:
    draw = np.random.default_rng(seed)
    subsets = 2 ** len(dims) - 1
    made = []
    for index in range(count):
        features = {}
        for number, (modality, dim) in enumerate(dims.items()):
            rows = int(draw.integers(1, 5))
            here = (index % subsets + 1) >> number & 1  # every non-empty subset of them occurs
            made_here = Feature(
                draw.normal(size=(rows, dim)).astype(np.float32), np.zeros((rows, 2), np.float32), np.ones(rows, bool)
            )
            features[modality] = made_here if here else None
        made.append(FeatureBundle(str(index), features))
    return made


def batch_of(some: list[FeatureBundle]):
    from mercli.fusion.batch import Examples, Statistics, collate

    dims = {m: d for m, d in DIMS.items() if m in some[0].features}
    stats = Statistics(
        {m: np.zeros(d, np.float32) for m, d in dims.items()}, {m: np.ones(d, np.float32) for m, d in dims.items()}
    )
    wanted = np.asarray([i % 7 for i in range(len(some))])
    return collate(Examples(some, tuple(dims), wanted, ["made"] * len(some)), stats, dims)


def dims_of(name: str) -> dict[str, int]:
    """Return the dims of the modalities that a head takes: all, unless its facts name them."""
    takes = registry.get("heads", name).facts.get("modalities", tuple(DIMS))
    return {modality: dim for modality, dim in DIMS.items() if modality in takes}


@pytest.fixture(params=HEADS)
def head(request):
    import torch

    torch.manual_seed(0)
    return registry.build("heads", request.param, dims_of(request.param), CANONICAL).eval()


def taken(head) -> dict[str, int]:
    return {modality: dim for modality, dim in DIMS.items() if modality in head.modalities}


@pytest.mark.parametrize("name", [n for n in HEADS if len(dims_of(n)) < len(DIMS)])
def test_a_head_that_takes_some_modalities_refuses_others_with_the_flag_to_give(name):
    from mercli.errors import ConfigError

    with pytest.raises(ConfigError) as refusal:
        registry.build("heads", name, DIMS, CANONICAL)
    assert f"--modalities {' '.join(dims_of(name))}" in refusal.value.hint


def test_a_head_is_finite_for_every_subset_and_its_loss_trains_every_weight(head):
    import torch

    batch = batch_of(bundles(14, taken(head)))
    if getattr(head, "needs_dialogue", False):  # two dialogues of two speakers
        batch.talk = torch.tensor([[row % 2, row, row % 3 % 2] for row in range(14)])
    output = head(batch)
    assert output.logits.shape == (14, 7)
    assert output.logits.isfinite().all()
    head.train()
    head.loss(head(batch), batch).backward()
    unreached = [name for name, weight in head.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not unreached


OTHER_KINDS = [
    LabelScheme("labels", "many-of", ("happy", "sad", "fear")),
    LabelScheme("sentiment", "values", ("sentiment",), -3.0, 3.0),
    LabelScheme("vad", "values", ("valence", "arousal", "dominance"), 1.0, 5.0),
]


@pytest.mark.parametrize("scheme", OTHER_KINDS, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("name", [n for n in HEADS if "many-of" in registry.get("heads", n).facts.get("kinds", ())])
def test_a_head_for_every_kind_of_labels_answers_as_many_numbers_and_its_loss_is_finite(name, scheme):
    import torch

    from mercli.config_fit import Loss
    from mercli.fusion import losses

    assert set(registry.get("heads", name).facts["kinds"]) == {"one-of", "many-of", "values"}
    torch.manual_seed(0)
    head = registry.build("heads", name, dims_of(name), scheme).eval()
    batch = batch_of(bundles(14, taken(head)))
    there = torch.rand(14, len(scheme.names))
    batch.targets = (there > 0.5).float() if scheme.kind == "many-of" else scheme.low + there
    if getattr(head, "needs_dialogue", False):
        batch.talk = torch.tensor([[row % 2, row, row % 3 % 2] for row in range(14)])
    with losses.using(losses.penalty(scheme, Loss(), batch.targets, balanced=True)):
        output = head(batch)
        assert output.logits.shape == batch.targets.shape
        loss = head.loss(output, batch)
    assert loss.ndim == 0
    assert loss.isfinite()
    loss.backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in head.parameters())
    assert any(weight.grad is not None and weight.grad.any() for weight in head.parameters())


def test_gradient_reaches_every_modality(head):
    batch = batch_of(bundles(14, taken(head)))
    for values in batch.values.values():
        values.requires_grad_()
    head(batch).logits.log_softmax(-1)[:, 0].sum().backward()
    assert all(values.grad is not None and values.grad.any() for values in batch.values.values())


def test_padding_changes_nothing(head):
    some = bundles(8, taken(head), seed=3)
    together = head(batch_of(some)).logits
    for index, one in enumerate(some):
        np.testing.assert_allclose(
            head(batch_of([one])).logits[0].detach(), together[index].detach(), rtol=1e-5, atol=1e-5
        )


def test_permuting_the_batch_permutes_the_output(head):
    some = bundles(9, taken(head), seed=4)
    order = np.random.default_rng(0).permutation(9)
    np.testing.assert_allclose(
        head(batch_of([some[i] for i in order])).logits.detach(),
        head(batch_of(some)).logits.detach()[order],
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("spec", registry.specs("corpora"), ids=lambda spec: spec.name)
def test_a_reader_refuses_a_folder_that_is_not_its_corpus(spec, tmp_path):
    from mercli.errors import DataError

    reader = registry.build("corpora", spec.name)
    with pytest.raises(DataError):
        list(reader.read(tmp_path, "x"))
    with pytest.raises(DataError):
        list(reader.read(tmp_path / "absent", "x"))


HERE = [spec for spec in registry.specs("engines") if spec.extra is None]  # `ray` starts a Ray: tests/engines


@pytest.mark.parametrize("spec", HERE, ids=lambda spec: spec.name)
def test_an_engine_keeps_the_order(spec):
    engine = registry.build("engines", spec.name)
    assert list(engine.map(abs, range(-5, 5))) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("spec", registry.specs("transcribers"), ids=lambda spec: spec.name)
def test_a_transcriber_without_anything_to_read_answers_none(spec, tmp_path):
    options = {"offline": True} if "offline" in spec.options() else {}
    medium = tmp_path / "clip.wav"
    import soundfile

    soundfile.write(medium, np.zeros(1600, np.float32), 16_000)
    assert registry.build("transcribers", spec.name, options=options).transcribe(medium, None) is None
