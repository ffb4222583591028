"""What every training by the ``Trainer`` goes through, alone or on several processes: one run, and an end to it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mercli import log
from mercli.config_tune import FinetuneConfig
from mercli.errors import DataError

if TYPE_CHECKING:
    from accelerate import PartialState

    from mercli.tuning.tuner import Tuner

T = TypeVar("T", bound="Tuner")
_PARTED = ("gloo", "closed by peer", "reset by peer")
"""What libraries say of a process that is gone."""
WAIT = timedelta(days=7)
"""How long processes wait for the one that decodes the corpora."""


def begun(device: str) -> PartialState:
    """Return this process's place among those that train together; only the first one talks."""
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu", timeout=WAIT)
    if not state.is_main_process:
        log.setup(quiet=True, verbose=0)
    return state


def run_of(state: PartialState, make: Callable[[], Path]) -> Path:
    """Return the folder of a run, made by one process and told to the others."""
    from accelerate.utils import broadcast_object_list

    where: list[Any] = [str(make()) if state.is_main_process else None]
    return Path(broadcast_object_list(where)[0])


@contextmanager
def beside_others(state: PartialState) -> Iterator[None]:
    """Run what several processes do together; raises ``DataError`` where another one ended first.

    What its absence breaks here is no fault of this one.
    """
    from torch.distributed import DistError

    try:
        yield
    except RuntimeError as fault:
        parted = isinstance(fault, DistError) or any(said in str(fault) for said in _PARTED)
        if state.num_processes == 1 or not parted:
            raise
        raise DataError("another process of this training ended first; it has said why") from fault


def trained(make: Callable[[FinetuneConfig], T], config: FinetuneConfig, folder: Path, resume: bool) -> T:
    """Train to the end; where memory runs out, half the batch is accumulated twice.

    ``make`` the trainer of a config, around the same network every time; ``resume``: from the newest whole checkpoint
    in ``folder``. What is tried again without one begins with the weights that the network came with. Raises
    ``DataError`` where there is no memory for one segment, or where it runs out in one of several processes at a point
    at which the others wait for it.
    """
    from mercli.features.hf_models import quiet
    from mercli.tuning.saved import last_whole
    from mercli.tuning.together import OUT_OF_MEMORY, NoMemoryError, alone

    start: dict[str, Any] | None = None
    while True:
        tuner = make(config)
        network: Any = tuner.model
        last = last_whole(folder) if resume else None
        if last:
            log.logger.info("goes on from '%s'", last)
        elif start is None:
            start = {name: tensor.to("cpu", copy=True) for name, tensor in network.state_dict().items()}
        else:
            network.load_state_dict(start)
        try:
            with quiet(), warnings.catch_warnings():  # of torch, on how transformers hands masks over
                warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
                tuner.train(resume_from_checkpoint=last)
            return tuner
        except OUT_OF_MEMORY as fault:
            if config.batch == 1:
                raise DataError("there is no memory for one segment at a time", tuner.smaller) from fault
            half = f"--set batch={config.batch // 2} --set accumulate={config.accumulate * 2}"
            if not (alone() or isinstance(fault, NoMemoryError)):
                raise DataError("one of several processes has no memory for its gradients", half) from fault
            config = config.model_copy(update={"batch": config.batch // 2, "accumulate": config.accumulate * 2})
            if tuner.is_world_process_zero():
                log.logger.warning("no memory: batches of %d, accumulated %d times", config.batch, config.accumulate)
            resume = True
