import pytest

from mercli import labels, rundir
from mercli.errors import ConfigError, DataError


def test_a_failed_write_leaves_neither_the_file_nor_a_part(tmp_path):
    target = tmp_path / "kept.txt"
    target.write_text("before")

    def fail_half_way():
        with rundir.atomic(target) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]
    assert target.read_text() == "before"


def test_a_bad_json_line_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n{oops\n')
    with pytest.raises(DataError, match="line 2 is not JSON"):
        list(rundir.read_lines(path))


def test_nan_never_leaves():
    with pytest.raises(ValueError, match="not JSON compliant"):
        rundir.json_line({"x": float("nan")})


def test_two_runs_of_one_moment_get_two_folders(tmp_path):
    made = {rundir.create(tmp_path, "train", {"a": 1}) for _ in range(3)}
    assert len(made) == 3
    assert rundir.find(tmp_path).parent == tmp_path


def test_a_run_is_found_by_the_end_of_its_name(tmp_path):
    run = rundir.create(tmp_path, "train-late", {})
    assert rundir.find(tmp_path, "train-late") == run
    with pytest.raises(DataError, match="no run is called 'nope'"):
        rundir.find(tmp_path, "nope")


@pytest.mark.parametrize(
    ("label", "expected"),
    [("Joy", "happy"), ("anger", "angry"), ("calm", "neutral"), ("exc", "happy"), ("fru", None), ("xxx", None)],
)
def test_usual_spellings_have_a_canonical_class(label, expected):
    assert labels.canonical(label) == expected


def test_policies_are_named_and_unknown_ones_refused():
    assert labels.canonical("calm", {"calm": "drop"}) is None
    assert labels.policy_name({"calm": "drop"}) == "canonical-7/1 calm=drop"
    assert labels.canonical("calm", {"calm": "own"}) == "calm"
    with pytest.raises(ConfigError, match="calm='glad' is unknown"):
        labels.canonical("calm", {"calm": "glad"})


def test_every_class_maps_to_itself():
    assert labels.canonical_map("x", labels.CANONICAL.names).table == {n: n for n in labels.CANONICAL.names}


def test_the_newest_of_two_runs_of_one_second_is_the_one_made_last(tmp_path, monkeypatch):
    import datetime

    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, zone=None):
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=zone)

    monkeypatch.setattr(rundir, "datetime", Frozen)
    rundir.create(tmp_path, "train-late", {})
    last = rundir.create(tmp_path, "loco-late", {})
    assert rundir.find(tmp_path) == last
