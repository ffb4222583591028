"""The Hugging Face ``Trainer`` for embedded encoders: a killed training goes on to the same bits.

All randomness of a step (augmentation, mixup, dropout) comes from ``(seed, step)`` and the order of an epoch from
``(seed, epoch)``, so nothing depends on what was drawn before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mercli.log import logger
from mercli.tuning.embedded.data import Task
from mercli.tuning.embedded.recipes import Recipe
from mercli.tuning.saved import last_whole, tell

_AVERAGE = "average.safetensors"


class Indices(Dataset):
    """The numbers 0..N-1: examples stay in memory with the task, batches are made from their indices."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        return index


class Draw(Sampler[int]):
    """Draws an epoch's indices: a permutation, or with replacement by class weights when ``power`` > 0."""

    def __init__(self, labels: Tensor, power: float, seed: int) -> None:
        self.labels, self.power, self.seed, self.epoch = labels, power, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Fix the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[int]:
        generator = Generator().manual_seed(self.seed * 100_003 + self.epoch)
        if self.power == 0:
            return iter(torch.randperm(len(self.labels), generator=generator).tolist())
        counts = torch.bincount(self.labels).clamp_min(1).double()
        weights = counts[self.labels] ** -self.power
        return iter(torch.multinomial(weights, len(self.labels), True, generator=generator).tolist())


class Average(TrainerCallback):
    """Keeps the exponential moving average of weights and buffers; saved in and restored from each checkpoint."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {key: value.detach().clone() for key, value in network.state_dict().items()}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Blend the new weights in; early steps count more."""
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        with torch.no_grad():
            for key, value in kwargs["model"].state_dict().items():
                held = self.state[key]
                if held.is_floating_point():
                    held.lerp_(value.to(held.device), 1 - decay)
                else:
                    held.copy_(value)

    def save(self, folder: Path) -> None:
        """Write the average into a checkpoint."""
        save_file({key: value.contiguous() for key, value in self.state.items()}, folder / _AVERAGE)

    def restore(self, folder: Path) -> None:
        """Take the average from a checkpoint."""
        for key, value in load_file(folder / _AVERAGE).items():
            self.state[key].copy_(value)


class Watch(TrainerCallback):
    """Scores the averaged weights on the dev part every few epochs and adds the figures to ``metrics.jsonl``."""

    def __init__(self, task: Task, average: Average, path: Path) -> None:
        self.task, self.average, self.path = task, average, path
        self.network, self.start = task.network(), time.perf_counter()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write one line: epoch, figures, seconds since the start."""
        epoch = round(state.epoch or 0)
        due = epoch % self.task.recipe.evaluate_every == 0 or epoch == self.task.recipe.epochs
        if not due or not state.is_world_process_zero:
            return
        self.network.load_state_dict(self.average.state)
        figures = self.task.evaluate(self.network.eval())
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        line = {"epoch": epoch, **figures, "loss": losses[-1] if losses else None}
        line["seconds"] = round(time.perf_counter() - self.start, 1)
        tell(self.path, line)
        logger.info("%s: %s", "/".join(self.path.parent.parts[-2:]), json.dumps(line))


class EmbeddedTrainer(Trainer):
    """Trains a task's network on soft targets with the training prior added to the logits (Menon et al. 2021)."""

    def __init__(self, task: Task, folder: Path, start: Mapping[str, Tensor] | None = None, **arguments: Any) -> None:
        recipe = task.recipe
        torch.manual_seed(recipe.seed)
        network = task.network()
        if start is not None:
            network.load_state_dict(start)
        super().__init__(
            model=network,
            args=_arguments(recipe, folder, len(task.labels), **arguments),
            train_dataset=Indices(len(task.labels)),
            data_collator=lambda items: {"indices": torch.tensor(items)},
            optimizers=(_optimizer(network, recipe), None),
        )
        self.task, self.precision = task, precision(recipe)
        self.average = Average(network, recipe.ema)
        self.remove_callback(PrinterCallback)
        self.add_callback(self.average)
        self.add_callback(Watch(task, self.average, folder / "metrics.jsonl"))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the average beside the weights, before the state that says that a checkpoint is whole."""
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            self.average.save(Path(output_dir or str(self.args.output_dir)))

    def _get_train_sampler(self, train_dataset: Any = None) -> Draw:
        return Draw(self.task.labels, self.task.recipe.balance, self.task.recipe.seed)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """Measure no norm where nothing is clipped: sparse gradients have none."""
        return super()._get_grad_norm(model, grad_norm) if self.task.recipe.clip else None

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the smoothed soft cross-entropy of one augmented batch."""
        number = self.task.recipe.seed * 1_000_003 + self.state.global_step * 64 + self.args.process_index
        generator = Generator().manual_seed(number)
        progress = self.state.global_step / max(1, self.state.max_steps)
        batch = self.task.batch(inputs["indices"].cpu(), progress, generator)
        torch.manual_seed(number)
        device = self.args.device
        tensors = {name: value.to(device) for name, value in batch.inputs.items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits, embedding = model(**tensors)
        loss = soft_cross_entropy(
            logits.float() + batch.log_prior.to(device), batch.targets.to(device), self.task.recipe.smoothing
        )
        if batch.side is not None:
            loss = loss + batch.side(embedding.float())
        return (loss, {"logits": logits, "embedding": embedding}) if return_outputs else loss


def soft_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Return the mean cross-entropy of logits (B, K) against targets (B, K) smoothed towards uniform."""
    smooth = targets * (1 - smoothing) + smoothing / targets.shape[1]
    return -(smooth * logits.log_softmax(1)).sum(1).mean()


def precision(recipe: Recipe) -> str:
    """Return ``bf16`` or ``fp32``: what the recipe says, else bf16 where the device multiplies it natively."""
    if recipe.precision != "auto":
        return recipe.precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    capable = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16" if capable else "fp32"


def train(
    task: Task, folder: Path, *, start: Mapping[str, Tensor] | None = None, resume: bool = False, **arguments: Any
) -> EmbeddedTrainer:
    """Train a task with checkpoints in ``folder`` and return the trainer, its ``average`` holding the final weights.

    ``start``: the weights it begins with, in place of the task's own untrained ones.
    """
    if task.recipe.threads:
        torch.set_num_threads(task.recipe.threads)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = EmbeddedTrainer(task, folder, start, **arguments)
    last = last_whole(folder) if resume else None
    if last:
        trainer.average.restore(Path(last))
    trainer.train(resume_from_checkpoint=last)
    return trainer


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return AdamW with weight decay on matrices and kernels only, or Adagrad, which sparse gradients suit."""
    if recipe.optimizer == "adagrad":
        torch.sparse.check_sparse_tensor_invariants.disable()  # the default, said aloud: else torch warns
        return torch.optim.Adagrad(network.parameters(), lr=recipe.lr, initial_accumulator_value=1e-6)
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.99))


def _arguments(recipe: Recipe, folder: Path, count: int, **arguments: Any) -> TrainingArguments:
    steps = recipe.epochs * max(1, count // recipe.batch)
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": recipe.epochs,
        "per_device_train_batch_size": recipe.batch,
        "learning_rate": recipe.lr,
        "lr_scheduler_type": "cosine",
        "warmup_steps": int(recipe.warmup * steps),
        "max_grad_norm": recipe.clip,
        "seed": recipe.seed,
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "logging_strategy": "epoch",
        "eval_strategy": "no",
        "dataloader_drop_last": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "report_to": [],
        **arguments,
    }
    return TrainingArguments(**settings)
