from __future__ import annotations

import csv
import dataclasses
import gzip
import json

import numpy as np
import pytest

from mercli.errors import DataError

torch = pytest.importorskip("torch")

from mercli.features.embedded.text import embedded_text  # noqa: E402
from mercli.features.embedded.text_net import CORPORA, reading  # noqa: E402
from mercli.jobs.tuned.refit import RefitConfig, refit  # noqa: E402
from mercli.labels import CANONICAL  # noqa: E402
from mercli.tuning.embedded.recipes import TextRecipe  # noqa: E402
from mercli.tuning.embedded.text_data import SOURCES, fold_of, read_texts, readings, unread  # noqa: E402
from mercli.tuning.embedded.texts import LONGEST, BagTask, TextTask, WordTask, inverse_frequency  # noqa: E402
from mercli.tuning.embedded.trainer import train  # noqa: E402
from mercli.types import Streams, Transcript  # noqa: E402

SPELLING = {
    "meld": ("joy", "sadness", "neutral"),
    "goemotions": ("joy", "sadness", "neutral"),
    "emorynlp": ("Joyful", "Sad", "Peaceful"),
    "dailydialog": ("happiness", "sadness", "neutral"),
    "emocontext": ("happy", "sad", "others"),
}
SAID = ("such a wonderful day number {}", "i miss her so much {}", "the table number {} is here")
COPY = "we were on a break you know"
SHARED = "he said it in two corpora"


def made(root, corpus: str, part: str, count: int) -> None:
    source = SOURCES[corpus]
    rows = [
        {source.text: SAID[i % 3].format(f"{corpus}{part}{i}"), source.label: SPELLING[corpus][i % 3]}
        for i in range(count)
    ]
    if part == "train":
        rows.append({source.text: SHARED, source.label: SPELLING[corpus][1]})
    rows.append({source.text: COPY, source.label: SPELLING[corpus][0]})
    for number, row in enumerate(rows):
        row |= dict.fromkeys(source.group, str(number // 2))
    path = root / source.folder / source.parts[part]
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if ".tsv" in path.name else ",")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    for corpus, source in SOURCES.items():
        for part in source.parts:
            made(folder, corpus, part, 24 if part == "train" else 6)
    return folder


def task(root, kind=BagTask, **changes):
    texts = read_texts(root)
    dev = {"meld/dev": texts.unseen["meld/dev"]}
    recipe = dataclasses.replace(TextRecipe(epochs=3, batch=16, evaluate_every=1), **changes)
    return kind(recipe, texts.train, dev, readings([*texts.train, *texts.unseen["meld/dev"]]))


def test_sentences_of_unseen_parts_and_unclear_labels_leave_the_training(root):
    texts = read_texts(root)
    assert COPY not in {sentence.text for sentence in texts.train}
    assert texts.left_out["meld"] == {"no single class": 0, "verbatim in a dev or test part": 1}
    assert texts.left_out["emocontext"]["no single class"] == 8
    assert set(texts.unseen) == {f"{c}/{p}" for c, s in SOURCES.items() for p in s.parts if p != "train"}
    assert all("/train/" in sentence.id for sentence in texts.train)


def test_what_was_read_leaves_its_copies_and_common_phrases_stay(root):
    one = read_texts(root).train[0]
    texts = {"Oh, he SAID it in two... corpora!": False, "he said so": True, "he said it in two corpora or more": True}
    read = [dataclasses.replace(one, text=text) for text in ("oh he said it in two corpora", "he said so")]
    for text, stays in texts.items():
        assert bool(unread([dataclasses.replace(one, text=text)], read)) == stays, text


def test_calm_of_emorynlp_is_neutral_and_classes_are_canonical(root):
    labels = {s.label for s in read_texts(root).train if s.corpus == "emorynlp"}
    assert labels == {CANONICAL.names.index(name) for name in ("neutral", "happy", "sad")}


def test_a_missing_corpus_and_a_missing_column_are_told(root, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_texts(tmp_path)
    (tmp_path / "meld").mkdir()
    (tmp_path / "meld/train.csv").write_text("text,other\nhello,1\n")
    with pytest.raises(DataError, match="no column"):
        read_texts(tmp_path)


def test_a_dialogue_is_in_one_fold(root):
    sentences = read_texts(root).train
    folds = {(sentence.group, fold_of(sentence, 3)) for sentence in sentences}
    assert len(folds) == len({sentence.group for sentence in sentences})
    assert {fold for _, fold in folds} == {0, 1, 2}


def test_inverse_frequency_leaves_out_what_one_text_alone_has():
    idf = inverse_frequency([reading("yes sir"), reading("yes madam"), reading("no")])
    shared = (set(reading("yes sir").ids) & set(reading("yes madam").ids)) - set(reading("no").ids)
    assert shared
    assert idf[list(shared)].numpy() == pytest.approx(np.log(4 / 3) + 1)
    alone = set(reading("no").ids) - set(reading("yes sir").ids) - set(reading("yes madam").ids)
    assert alone
    assert not idf[list(alone)].any()


def test_a_batch_carries_each_corpus_own_prior_and_weight(root):
    made_task = task(root, meld=3.0)
    batch = made_task.batch(torch.arange(len(made_task.labels)), 0.0, torch.Generator())
    corpora = [sentence.corpus for sentence in made_task.train]
    assert batch.targets.sum(1).tolist() == [3.0 if corpus == "meld" else 1.0 for corpus in corpora]
    torch.testing.assert_close(batch.log_prior[0], made_task.priors[CORPORA.index(corpora[0])])
    assert len(batch.inputs["offsets"]) == len(corpora)


def test_each_member_learns_from_n_grams_or_from_words_with_a_seed_of_its_own(root):
    whole = task(root, TextTask, seed=4, word_lr=0.5, word_batch=3, word_epochs=9)
    bag, first, second = (whole.member(number) for number in range(3))
    assert [type(one) for one in (bag, first, second)] == [BagTask, WordTask, WordTask]
    assert [one.recipe.seed for one in (bag, first, second)] == [4, 5, 6]
    assert (first.recipe.lr, first.recipe.batch, first.recipe.epochs) == (0.5, 3, 9)
    assert (bag.recipe.optimizer, first.recipe.optimizer) == ("adagrad", "adamw")
    rows = torch.arange(4)
    for one in (bag, first):
        batch = one.batch(rows, 0.0, torch.Generator())
        logits, embedding = one.network()(**batch.inputs)
        assert logits.shape == (4, 7)
        assert torch.isfinite(batch.side(embedding))


def test_training_reads_the_first_words_of_a_sentence(root):
    words = task(root, WordTask)
    assert words.stack([reading("oh " * 500), reading("no")])["lengths"].tolist() == [LONGEST, 1]


def test_members_that_read_words_learn_that_a_corpus_lacks_a_class(root):
    bag, words = (task(root, kind).added.exp() for kind in (BagTask, WordTask))
    fear = CANONICAL.names.index("fear")
    assert float(bag[:, fear].max()) < 1e-4
    assert float(words[:, fear].min()) > 0.05
    torch.testing.assert_close(words.sum(1), torch.ones(len(CORPORA)))


@pytest.mark.parametrize("kind", [BagTask, WordTask])
def test_training_learns_and_a_killed_one_goes_on_to_the_same_bits(root, tmp_path, kind):
    options = {} if kind is BagTask else {"lr": 5e-3, "optimizer": "adamw", "ema": 0.9, "epochs": 4}
    whole = train(task(root, kind, **options), tmp_path / "whole").average.state
    dying, batch = task(root, kind, **options), kind.batch

    def killed(indices, progress, generator):
        if progress > 0.5:
            raise KeyboardInterrupt
        return batch(dying, indices, progress, generator)

    dying.batch = killed
    with pytest.raises(KeyboardInterrupt):
        train(dying, tmp_path / "part")
    resumed = train(task(root, kind, **options), tmp_path / "part", resume=True).average.state
    for key, value in whole.items():
        torch.testing.assert_close(value, resumed[key], rtol=0, atol=0)
    figures = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    assert figures[-1]["meld/dev_uar"] > 0.8


def test_finetune_writes_weights_card_and_out_of_fold_logits(root, tmp_path):
    settings = {"sharpness": 1.5, "trust": 2.5, "spoken": 1.25}
    options = {"epochs": 2, "batch": 16, "folds": 2, "word_epochs": 1, "word_batch": 16, **settings}
    path = refit(RefitConfig("text", root, tmp_path, options))
    card = json.loads(path.with_suffix(".json").read_text())
    saved = np.load(tmp_path / "text-logits.npz")
    shared = [sentence for sentence in read_texts(root).train if sentence.text == SHARED]
    assert (
        len({fold_of(sentence, 2) for sentence in shared}) == 2
    )  # each fold's network has read them in another corpus
    whole = {s.id for s in read_texts(root).train if s.corpus in ("meld", "goemotions")}
    assert sorted(saved["ids"]) == sorted(whole - {sentence.id for sentence in shared})
    network = embedded_text(weights=str(path)).network
    assert (float(network.sharpness), float(network.trust), float(network.expected.max())) == (1.5, 2.5, 1.25)
    assert card["left_out"]["meld"]["verbatim in a dev or test part"] == 1
    assert {"meld/test weighted F1, prior of train", "goemotions/dev UAR, uniform prior"} <= set(card["figures"])
    feature = embedded_text(weights=str(path)).encode([Streams(transcript=Transcript("such a wonderful day", "x"))])[0]
    assert CANONICAL.names[feature.values[0, :7].argmax()] == "happy"
