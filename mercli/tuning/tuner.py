"""The Hugging Face ``Trainer`` for encoders: alone, under ``torchrun`` or ``accelerate launch``; a kill loses an epoch.

What is random in an example comes from seed, epoch and example (``examples.draw``), what is random in a step (dropout)
from seed, step and process, so a training that goes on from a checkpoint comes to the same bits on a CPU.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from mercli.config_tune import FinetuneConfig, TuningLoss
from mercli.distilling import distilled
from mercli.errors import DataError, MerError, foreign
from mercli.focal import focal
from mercli.log import logger
from mercli.tuning.examples import Batches, Example, Place, draw
from mercli.tuning.network import Tuned, collated, usable
from mercli.tuning.parameters import groups
from mercli.tuning.saved import tell
from mercli.tuning.scoring import Answers, answers, figures
from mercli.tuning.together import with_memory
from mercli.tuning.warming import Warming

FULL = 2**20
"""Bytes left on a disk below which it is full."""


@dataclass
class Skipped:
    """Examples of training that could not be read, each once, with the reason."""

    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, identity: str, reason: str) -> None:
        """Count an example and tell of it the first time."""
        if identity not in self.reasons:
            logger.warning("segment '%s' is left out: %s", identity, reason)
        self.reasons[identity] = reason


class Changed(Dataset):
    """Training examples by ``Place``: id, class and pieces, changed at random; ``None`` where one cannot be read."""

    def __init__(self, tuned: Tuned, examples: Sequence[Example], config: FinetuneConfig, skipped: Skipped) -> None:
        self.body, self.examples, self.config, self.skipped = tuned.body, examples, config, skipped

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, place: Place) -> tuple[Example, Sequence[Any]] | None:
        example = self.examples[place[1]]
        try:
            return example, usable(self.body.pieces(example.read(), draw(self.config.seed, place)), example.id)
        except DataError as fault:
            if self.config.strict:
                raise
            self.skipped.add(example.id, fault.message)
            return None


class Tuner(Trainer):
    """Trains a ``Tuned`` network on examples; the checkpoint that is best on dev is kept and taken at the end."""

    slower = "mer finetune ... --set rates.lr=1e-5 --precision fp32"
    smaller = "--set seconds=4"

    def __init__(
        self, tuned: Tuned, train: Sequence[Example], dev: Sequence[Example], config: FinetuneConfig, folder: Path,
        precision: str, cpu: bool,
    ) -> None:  # fmt: skip
        self.config, self.dev, self.skipped = config, dev, Skipped()
        self.changed = Changed(tuned, train, config, self.skipped)
        arguments = _arguments(config, folder, precision, cpu)
        optimizer = torch.optim.AdamW(groups(tuned.body, config))
        super().__init__(
            model=tuned,
            args=arguments,
            train_dataset=self.changed,
            eval_dataset=Changed(tuned, dev, config, self.skipped),
            optimizers=(optimizer, None),
            callbacks=[EarlyStoppingCallback(config.patience)],
        )
        self.model_accepts_loss_kwargs = False  # else accumulated losses would be summed, not averaged
        self.labels = torch.tensor([example.label for example in train])
        self.weights = class_weights(self.labels, len(tuned.body.classes), config.loss)
        sizes = [example.size for example in train]
        balanced = config.sampler == "balanced"
        self.batches = Batches(
            sizes, self.labels, config.batch, config.seed, balanced, arguments.process_index, arguments.world_size,
            config.accumulate,
        )  # fmt: skip
        self.remove_callback(PrinterCallback)
        self.add_callback(_Epochs(self.batches, folder / "metrics.jsonl"))
        if config.rates.schedule == "plateau":
            self.add_callback(Warming(optimizer, config.rates.warmup))

    def get_train_dataloader(self) -> DataLoader:
        """Return this process's batches: they are dealt out already, so nothing is left for accelerate to split."""
        return DataLoader(self.changed, batch_sampler=self.batches, collate_fn=self._collate)

    def _collate(self, items: Sequence[tuple[Example, Sequence[Any]] | None]) -> dict[str, Any]:
        kept = [item for item in items if item is not None] or [self._stand_in()]
        labels = torch.tensor([example.label for example, _ in kept])
        names = [example.id for example, _ in kept]
        given = {"labels": labels, "names": names, **collated(self.changed.body, [pieces for _, pieces in kept])}
        if any(example.soft is not None for example, _ in kept):
            unknown = [math.nan] * len(self.changed.body.classes)
            given["soft"] = torch.tensor([example.soft or unknown for example, _ in kept], dtype=torch.float32)
        return given

    def _stand_in(self) -> tuple[Example, Sequence[Any]]:
        """Return the first example that can be read, for a batch of which none can: small ones are of one segment."""
        places = ((self.batches.epoch, index) for index in range(len(self.changed)))
        found = next((item for place in places if (item := self.changed[place]) is not None), None)
        if found is None:
            raise DataError("no training segment can be read any more", "mer prepare --streams ...")
        return found

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of one batch; raises ``DataError`` naming its segments where it is no number."""
        number = (self.config.seed * 1_000_003 + self.state.global_step) * 64 + self.args.process_index
        torch.manual_seed(number)
        np.random.seed(number % 2**32)  # transformers masks frames by it
        names = inputs.pop("names")
        found, logits = self.penalty(model, inputs)
        if not torch.isfinite(found):
            raise DataError(
                f"the loss of a batch is {float(found)} at step {self.state.global_step}: {', '.join(names)}",
                self.slower,
            )
        return (found, logits) if return_outputs else found

    def penalty(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Return the loss of one batch, and the logits where the network gives them, too."""
        labels, soft = inputs.pop("labels"), inputs.pop("soft", None)
        with with_memory(labels.device):
            logits = model(**inputs)
        hard = loss(logits, labels, self.config.loss, self.weights.to(logits.device))
        return distilled(hard, logits, soft, self.config.distill), logits

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Return the figures on dev; each process answers its share, and all know all answers."""
        found = self.answers(self.dev)
        if not found.examples:
            raise DataError("no dev segment can be read any more", "mer prepare --streams ...")
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in figures(found).items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def answers(self, examples: Sequence[Example]) -> Answers:
        """Return what the network says of examples, each process taking its share of them."""
        rank, world = self.args.process_index, self.args.world_size
        tuned: Any = self.accelerator.unwrap_model(self.model)
        tuned.eval()
        own = answers(tuned, examples[rank::world], self.config.batch, self._run)
        if world == 1:
            return own
        shares: list[Any] = [None] * world
        dist.all_gather_object(shares, ([example.id for example in own.examples], own.logits))
        by_id = {example.id: example for example in examples}
        return Answers([by_id[i] for ids, _ in shares for i in ids], torch.cat([logits for _, logits in shares]))

    def _run(self, owner: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        tuned: Any = self.accelerator.unwrap_model(self.model)
        device = self.args.device
        with self.accelerator.autocast():
            return tuned(owner.to(device), **{name: value.to(device) for name, value in inputs.items()})

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save; where the disk is full, what was half written goes, and the checkpoint before it stays."""
        with _whole(Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"):
            super()._save_checkpoint(model, trial)


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    said, hint = f"checkpoint '{folder}' cannot be written", f"df -h {folder.parent}"
    try:
        with foreign(said, hint):
            yield
    except MerError as fault:
        free = shutil.disk_usage(folder.parent).free
        shutil.rmtree(folder, ignore_errors=True)
        if free < FULL:  # torch speaks of positions in a file then
            raise DataError(f"{said}: no space is left on the disk", hint) from fault
        raise


class _Epochs(TrainerCallback):
    """Tells the batches which epoch it is, and appends each epoch's figures to ``metrics.jsonl``."""

    def __init__(self, batches: Batches, path: Path) -> None:
        self.batches, self.path = batches, path

    def on_epoch_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Fix the order of the epoch."""
        self.batches.epoch = round(state.epoch or 0)

    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """Write one line: epoch, training loss, dev figures, learning rate."""
        if not state.is_world_process_zero:
            return
        logged = [entry for entry in state.log_history if "loss" in entry]
        last = logged[-1] if logged else {}
        line = {"epoch": round(state.epoch or 0), "loss": last.get("loss"), "lr": last.get("learning_rate")}
        line |= {name.replace("eval_", "dev_"): value for name, value in (metrics or {}).items()}
        tell(self.path, line)
        logger.info(", ".join(f"{name} {value:.4g}" for name, value in line.items() if value is not None))


def loss(logits: Tensor, labels: Tensor, how: TuningLoss, weights: Tensor) -> Tensor:
    """Return the mean loss of logits (B, K), each example weighing what its class does (``weights`` (K,)).

    Divided by B, not by the weights' sum, so that the mean over processes is the loss of the whole batch.
    """
    each = F.cross_entropy(logits, labels, reduction="none", label_smoothing=how.smoothing)
    if how.name == "focal":
        each = focal(each, logits, labels, how.gamma)
    return (each * weights[labels]).mean()


def class_weights(labels: Tensor, classes: int, how: TuningLoss) -> Tensor:
    """Return what each class weighs (K,): 1, or by inverse frequency with a mean of 1 over the examples."""
    if how.class_weights == "none":
        return torch.ones(classes)
    counts = torch.bincount(labels, minlength=classes).float()
    return len(labels) / (counts.clamp_min(1) * (counts > 0).sum())


def _arguments(config: FinetuneConfig, folder: Path, precision: str, cpu: bool) -> TrainingArguments:
    rates = config.rates
    names = {"plateau": "reduce_lr_on_plateau", "constant": "constant_with_warmup"}
    plateau = {"mode": "max", "factor": 0.1, "patience": rates.patience} if rates.schedule == "plateau" else {}
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch,
        gradient_accumulation_steps=config.accumulate,
        learning_rate=rates.lr,
        lr_scheduler_type=names.get(rates.schedule, rates.schedule),
        lr_scheduler_kwargs=plateau,
        warmup_steps=0.0 if rates.schedule == "plateau" else rates.warmup,
        max_grad_norm=rates.clip,
        seed=config.seed,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=cpu,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # how long a better epoch was waited for
        metric_for_best_model="uar",
        greater_is_better=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=[],
    )
