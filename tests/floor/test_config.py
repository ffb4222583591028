import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli import config, config_sets, presets
from mercli.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", ("a", 1)),
        ("a.b=x=y", ("a.b", "x=y")),
        ("a=", ("a", "")),
        ("a=[1, 2]", ("a", [1, 2])),
        ("a=no", ("a", "no")),
        ("a=true", ("a", True)),
        ('a="5"', ("a", "5")),
        ("a=1e-4", ("a", 1e-4)),
    ],
)
def test_set_splits_at_the_first_equals_and_reads_json_else_text(text, expected):
    assert config_sets.override(text) == expected


@given(st.text(alphabet=st.characters(blacklist_characters="="), min_size=1).filter(str.strip), st.text())
def test_set_never_loses_a_part_of_the_value(key, value):
    found, parsed = config_sets.override(f"{key}={value}")
    assert found == key.strip()
    try:
        expected = json.loads(value)
    except json.JSONDecodeError:
        expected = value
    assert parsed == expected or parsed != parsed


def test_set_without_equals_is_refused():
    with pytest.raises(ConfigError, match="has no '='"):
        config_sets.override("lr")


def test_the_order_is_default_base_preset_set(tmp_path):
    (tmp_path / "under.yaml").write_text("epochs: 5\nlr: 0.5\nhead: {name: concat, options: {hidden: 4}}\n")
    (tmp_path / "over.yaml").write_text("base: under\nlr: 0.25\nhead: {options: {dropout: 0.0}}\n")
    made = config.resolve(
        config.TrainConfig, {"corpora": ["a"]}, preset=str(tmp_path / "over.yaml"), sets=["hidden=8", "batch=2"]
    )
    assert (made.epochs, made.lr, made.batch, made.patience) == (5, 0.25, 2, 10)
    assert made.head == config.Choice(name="concat", options={"hidden": 8, "dropout": 0.0})


def test_a_bare_key_is_an_option_of_the_main_plugin_unless_the_command_has_it():
    made = config.resolve(config.PrepareConfig, {"corpus.name": "csv", "root": "."}, sets=["label=emotion", "seed=3"])
    assert (made.corpus.options, made.seed) == ({"label": "emotion"}, 3)


def test_a_flag_that_was_not_given_changes_nothing():
    assert config.resolve(config.TrainConfig, {"corpora": ["a"], "lr": None}).lr == 1e-3


def test_every_fault_is_told_with_its_path_and_the_near_key():
    with pytest.raises(ConfigError) as fault:
        config.resolve(config.TrainConfig, {"corpora": ["a"]}, sets=["head.nam=x", "lr=-1", "recipe.face=up"])
    for part in ("'head.nam'", "did you mean 'name'", "'lr' is -1", "'recipe.face' is 'up'"):
        assert part in fault.value.message


def test_changing_one_encoder_keeps_the_others():
    made = config.resolve(config.TrainConfig, {"corpora": ["a"]}, sets=["recipe.encoders.audio.name=logmel-stats"])
    assert {m: c.name for m, c in made.recipe.encoders.items()} == {
        "audio": "logmel-stats",
        "face": "embedded-face",
        "text": "embedded-text",
    }


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), ("0.05", 0.05), ("100%", 1.0)])
def test_shares(text, value):
    assert config.share(text) == value


@pytest.mark.parametrize("text", ["5", "x", "-1%", "101%"])
def test_wrong_shares_are_refused(text):
    with pytest.raises(ConfigError):
        config.share(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("true", True), ("3e-4", 3e-4), ("1:30", "1:30"), ("0o17", 15),
        ("017", 17), ("0x1F", 31), ("~", None), ("null", None), (".inf", float("inf")), ("-2", -2), ("1_000", "1_000"),
        ("2026-11-20", "2026-11-20"), (".5", 0.5), ("'3'", "3"),
    ],
)  # fmt: skip
def test_presets_read_the_scalars_of_yaml_1_2(text, value):
    assert presets.parse(f"key: {text}", "here") == {"key": value}


def test_a_preset_that_is_its_own_base_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b\n")
    (tmp_path / "b.yaml").write_text("base: a\n")
    with pytest.raises(ConfigError, match="its own base"):
        presets.load(str(tmp_path / "a.yaml"))


def test_a_wrong_preset_name_is_answered_with_the_near_one():
    with pytest.raises(ConfigError, match="did you mean 'weightless'"):
        presets.load("weightles", "extract")


@pytest.mark.parametrize("text", ["a: [", "- 1", "!!python/object:os.system x"])
def test_what_is_no_preset_is_refused(text):
    with pytest.raises(ConfigError):
        presets.parse(text, "here")


@pytest.mark.parametrize(
    ("seed", "model", "repeating"),
    [
        ("smil", config.ExtractConfig, {"face"}),
        ("smil", config.TrainConfig, {"face"}),
        ("avtca", config.TrainConfig, {"audio", "face", "head"}),
        ("foalnet", config.LocoConfig, {"audio", "face", "head"}),
    ],
)
def test_compat_reaches_the_encoders_and_the_head_of_the_system_it_names(seed, model, repeating):
    preset = f"{'extract' if model is config.ExtractConfig else 'train'}/{seed}"
    made = config.resolve(model, {"corpora": ["a", "b"]}, preset=preset, sets=[f"compat={seed}"])
    choices = {**made.recipe.encoders, **({"head": made.head} if hasattr(made, "head") else {})}
    assert {name for name, choice in choices.items() if choice.options.get("compat")} == repeating
    plain = config.resolve(model, {"corpora": ["a", "b"]}, preset=preset)
    assert {m: c.name for m, c in plain.recipe.encoders.items()} == {m: c.name for m, c in made.recipe.encoders.items()}


def test_compat_with_a_system_that_is_not_there_or_unknown_is_told():
    with pytest.raises(ConfigError, match="no encoder or head here is of that system"):
        config.resolve(config.TrainConfig, {"corpora": ["a"]}, sets=["compat=smil"])
    with pytest.raises(ConfigError, match="compat"):
        config.resolve(config.TrainConfig, {"corpora": ["a"]}, preset="smil", sets=["compat=somebody"])


def test_a_key_that_is_nearly_one_of_the_command_is_no_option_of_its_plugin():
    flags = {"corpora": ("a",)}
    with pytest.raises(ConfigError, match=r"neither a key of mer train \(did you mean 'epochs'\?\) nor an option"):
        config.resolve(config.TrainConfig, flags, sets=["epcohs=3"])
    assert config.resolve(config.TrainConfig, flags, sets=["heads=4", "head.name=avtca"]).head.options == {"heads": 4}
