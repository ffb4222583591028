import textwrap

import pytest

from mercli import registry
from mercli.errors import ConfigError, PluginError


@pytest.fixture
def clean(monkeypatch):
    for kind in registry.KINDS:
        registry.specs(kind)
    monkeypatch.setattr(registry._state, "specs", dict(registry._state.specs))
    monkeypatch.setattr(registry._state, "broken", list(registry._state.broken))


def write(folder, text):
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_wrong_name_is_answered_with_the_near_one():
    with pytest.raises(PluginError, match="did you mean 'concat'") as fault:
        registry.get("heads", "conct")
    assert fault.value.hint == "mer list heads"


def test_an_unknown_kind_names_the_kinds():
    with pytest.raises(ConfigError, match="did you mean 'heads'"):
        registry.specs("head")


def test_a_plugin_file_adds_its_plugins(tmp_path, clean):
    registry.load_file(
        write(
            tmp_path,
            '''
        from mercli.registry import plugin

        @plugin("heads", "mine")
        def mine(dims, scheme, *, width: int = 4):
            """Mine."""
    ''',
        )
    )
    spec = registry.get("heads", "mine")
    assert (spec.summary, list(spec.options())) == ("Mine.", ["width"])
    assert "mine.py" in spec.origin


def test_a_clash_names_both_origins_and_the_builtin_stays(tmp_path, clean):
    held = registry.get("heads", "late")
    with pytest.raises(PluginError, match=r"two heads plugins are called 'late'.*mercli.*mine"):
        registry.load_file(
            write(
                tmp_path,
                '''
            from mercli.registry import plugin

            @plugin("heads", "other")
            def other(dims, scheme):
                """Other."""

            @plugin("heads", "late")
            def late(dims, scheme):
                """Not the real one."""
        ''',
            )
        )
    assert registry.get("heads", "late") is held
    with pytest.raises(PluginError):
        registry.get("heads", "other")


def test_a_file_that_fails_to_load_says_why(tmp_path, clean):
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        registry.load_file(write(tmp_path, "1 / 0"))


def test_a_broken_entry_point_is_listed_and_stops_nobody_else(monkeypatch, clean):
    class Entry:
        name, value, dist = "bad", "nowhere:thing", None

        def load(self):
            raise ImportError("nowhere")

    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [Entry()])
    monkeypatch.setattr(registry._state, "loaded", set())
    assert {"late", "concat"} <= {spec.name for spec in registry.specs("heads")}
    assert registry.broken()[-1].reason == "ImportError: nowhere"


def test_strangers_can_be_turned_off(monkeypatch, clean):
    monkeypatch.setenv("MER_PLUGINS", "none")
    monkeypatch.setattr(registry._state, "loaded", set())
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: 1 / 0)
    assert registry.specs("heads")


def test_every_wrong_option_is_told_at_once():
    spec = registry.get("heads", "late")
    with pytest.raises(ConfigError) as fault:
        registry.check_options(spec, {"hiden": 3, "dropout": "much"})
    assert "did you mean 'hidden'" in fault.value.message
    assert "'dropout' is 'much'" in fault.value.message


def test_options_are_coerced_and_defaults_filled_in():
    checked = registry.check_options(registry.get("heads", "late"), {"hidden": "8"})
    assert checked == {"hidden": 8, "dropout": 0.2}


def test_a_plugin_without_a_docstring_is_refused():
    with pytest.raises(PluginError, match="docstring"):
        registry.plugin("heads", "bare")(lambda dims, scheme: None)
