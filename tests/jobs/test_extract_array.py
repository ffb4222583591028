"""The batch script of the examples, as a scheduler and as a person run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mercli.features.store import Store

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "extract_array.sh"


def begin(*words, **variables):
    """Start the script by plain bash in an environment of no batch system, with this ``mer`` first in PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    environment = {**kept, "PATH": path, **variables}
    command = ["bash", str(SCRIPT), *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_the_parts_of_an_array_are_together_what_one_run_makes(world, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(world.data / "one", data / "one", ignore=shutil.ignore_patterns("features"))
    words = ("--corpora", "one", "--data", data, "--preset", "weightless", "--modalities", "text", "-q")
    parts = [begin(*words, SLURM_ARRAY_TASK_ID=str(n), SLURM_ARRAY_TASK_COUNT="3") for n in range(3)]
    said = [part.communicate(timeout=300) for part in parts]
    assert [part.returncode for part in parts] == [0, 0, 0], said
    (folder,) = (data / "one/features/text").iterdir()
    assert len(list(folder.glob("*.safetensors"))) == 3
    made, whole = Store(folder), Store(world.data / folder.relative_to(data))
    assert sorted(made.ids()) == sorted(whole.ids())
    for identity in whole.ids():
        np.testing.assert_array_equal(made.get(identity).values, whole.get(identity).values)
    again = begin(*words, "--json")  # by hand, the whole: nothing is left to do
    out, _ = again.communicate(timeout=300)
    assert (again.returncode, '"encoded": 0' in out) == (0, True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_a_single_number_of_an_array_is_refused(tmp_path):
    alone = begin("--corpora", "one", "--data", tmp_path, SLURM_ARRAY_TASK_ID="3", SLURM_ARRAY_TASK_COUNT="1")
    _, said = alone.communicate(timeout=300)
    assert alone.returncode == 3
    assert "--shard '3/1' cannot be read" in said
