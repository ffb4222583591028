"""Processes that train together: none waits for one that has no memory, and what another's end breaks is told so."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from mercli.errors import DataError  # noqa: E402
from mercli.jobs.tuned.processes import beside_others  # noqa: E402
from mercli.tuning.together import NoMemoryError, with_memory  # noqa: E402

HERE = torch.device("cpu")
TWO = SimpleNamespace(num_processes=2)


def step(short: bool) -> str:
    """Run a step for which there may be no memory, and say what came of it."""
    try:
        with with_memory(HERE):
            if short:
                raise MemoryError
    except NoMemoryError as fault:
        return f"left, {type(fault.__cause__).__name__}"
    return "done"


def process(rank: int, folder: str, port: int) -> None:
    """Take four steps beside another process, which ends before the last."""
    import torch.distributed as dist

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo")
    told = [step(short) for short in (False, rank == 1, False)]
    if rank == 0:
        try:
            with beside_others(TWO):
                step(False)
        except DataError as fault:
            told.append(fault.message)
    (Path(folder) / str(rank)).write_text("; ".join(told))
    os._exit(0)  # as one that fails does: nothing is said to the other


@pytest.mark.slow
def test_all_leave_a_step_for_which_one_has_no_memory_and_one_that_is_gone_is_no_fault_of_the_others(tmp_path):
    torch.multiprocessing.spawn(process, (str(tmp_path), 29531), nprocs=2)
    told = [(tmp_path / str(rank)).read_text() for rank in (0, 1)]
    assert told[1] == "done; left, MemoryError; done"
    assert told[0] == "done; left, NoneType; done; another process of this training ended first; it has said why"


def test_a_fault_of_its_own_is_not_put_down_to_others():
    for alone, said in ((TWO, "mat1 and mat2 shapes cannot be multiplied"), (SimpleNamespace(num_processes=1), "gloo")):
        with pytest.raises(RuntimeError, match=said), beside_others(alone):
            raise RuntimeError(said)


def test_a_process_by_itself_says_that_it_has_no_memory():
    assert step(True) == "left, MemoryError"
    assert step(False) == "done"
