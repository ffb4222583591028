"""Networks that see: picture models of ``transformers``, and SMIL's ResNet-50 of AffectNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mercli.config_tune import Augment, FinetuneConfig
from mercli.errors import ConfigError, DataError
from mercli.features import hf_models, hub
from mercli.features.hf_vision_net import PROCESSOR, side
from mercli.features.seeds import checkpoints, smil_face_net
from mercli.tuning.checkpoint import classifier
from mercli.types import Streams, StreamSettings

FPS = 5.0


class Crops:
    """What both kinds share: ``count`` faces of a segment, drawn at random in training, evenly spaced otherwise."""

    def __init__(self, count: int, augment: Augment, size: int) -> None:
        self.count, self.augment, self.size = count, augment, size
        self.settings = StreamSettings(face_fps=FPS, face_size=size)

    def pieces(self, streams: Streams, draw: Generator | None) -> Sequence[Tensor]:
        """Return faces uint8 (3, S, S); none where no crop shows one."""
        if streams.faces is None:
            return ()
        faces = torch.from_numpy(streams.faces)
        if streams.face_confidence is not None:
            faces = faces[torch.from_numpy(streams.face_confidence > 0)]
        if not len(faces):
            return ()
        if draw is None:
            kept = torch.linspace(0, len(faces) - 1, min(self.count, len(faces))).round().long()
        else:
            most = max(1, round(self.count * (1 - self.augment.frames)))
            kept = torch.randperm(len(faces), generator=draw)[:most]
        chosen = faces[kept].permute(0, 3, 1, 2)
        return tuple(chosen if draw is None else varied(chosen, self.augment, draw))


def varied(faces: Tensor, augment: Augment, draw: Generator) -> Tensor:
    """Return uint8 faces (F, 3, S, S), all of a segment mirrored, cropped, coloured and cut out alike."""
    from torchvision.transforms import v2

    steps: list[nn.Module] = [v2.RandomHorizontalFlip(augment.flip)]
    if augment.crop:
        steps.append(v2.RandomResizedCrop(faces.shape[-1], (1 - augment.crop, 1.0), (0.9, 1.1), antialias=True))
    if augment.colour:
        steps.append(v2.RandomApply([v2.ColorJitter(0.3, 0.3, 0.3, 0.05)], augment.colour))
    if augment.cutout:
        steps.append(v2.RandomErasing(augment.cutout, (0.04, 0.12), value=127))
    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's own generator
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=draw)))
        return v2.Compose(steps)(faces)


class HfFaces(Crops):
    """Any model for image classification, its pictures prepared as its own processor does."""

    plugin, place, heads = "hf-vision", "model", ("classifier", "head", "fc")

    def __init__(self, config: FinetuneConfig, network: Any, classes: tuple[str, ...], processor: Any) -> None:
        self.network, self.classes, self.processor = network, classes, processor
        super().__init__(config.faces, config.augment, side(processor))

    @classmethod
    def of_model(cls, config: FinetuneConfig, classes: Sequence[str]) -> HfFaces:
        """Return a model of the hub or a folder; raises ``DataError`` where it is not to be had or does not fit."""
        start = classifier(
            "AutoModelForImageClassification", config.encoder, config.revision, classes, config.reset_classifier,
            (PROCESSOR,),
        )  # fmt: skip
        return cls(config, start.network, start.classes, hf_models.helper("AutoImageProcessor", start.folder))

    def inputs(self, pieces: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Return pixels (P, 3, H, W)."""
        ready = self.processor(images=list(pieces), input_data_format="channels_first", return_tensors="pt")
        return {"pixel_values": ready["pixel_values"]}

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (P, K)."""
        return self.network(**inputs).logits

    def save(self, folder: Path) -> None:
        """Write the model as ``from_pretrained`` reads it, and what prepares its pictures."""
        self.network.save_pretrained(folder)
        self.processor.save_pretrained(folder)


class SmilFaces(Crops):
    """SMIL's ResNet-50; a layer for other classes is put in the place of its own where asked for."""

    plugin, place, heads = "smil-face", "weights", ("fc2",)

    def __init__(self, config: FinetuneConfig, weights: str | None, classes: Sequence[str]) -> None:
        super().__init__(config.faces, config.augment, smil_face_net.SIDE)
        given = config.weights or weights
        if given is None:
            raise ConfigError(
                "encoder 'smil-face' needs its weights, expected the path of 'FER_static_ResNet50_AffectNet.pt'",
                "mer finetune face --encoder smil-face:PATH ...",
            )
        checkpoint = checkpoints.read(Path(given).expanduser())
        self.network = smil_face_net.unfolded(checkpoint).requires_grad_(True)
        own = _classes(checkpoint.path)
        if not config.reset_classifier and own != tuple(classes):
            told = f"tells {', '.join(own)}" if own else "does not say what its classes are"
            raise DataError(
                f"'{given}' {told}; the corpora have {', '.join(classes)}", "mer finetune ... --reset-classifier"
            )
        if config.reset_classifier:
            self.network.fc2 = nn.Linear(self.network.fc1.out_features, len(classes))
        self.classes = tuple(classes)

    def inputs(self, pieces: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Return prepared faces (P, 3, 224, 224)."""
        pixels = torch.stack(list(pieces)).permute(0, 2, 3, 1)
        return {"faces": smil_face_net.prepared(pixels)}

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (P, K)."""
        return self.network(**inputs)[1]

    def save(self, folder: Path) -> None:
        """Write the weights that ``smil-face`` reads, and the names of their classes."""
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(state, folder / hub.WEIGHTS[0], {"classes": ",".join(self.classes)})


def _classes(file: Path) -> tuple[str, ...]:
    """Return the classes that ``save`` noted in a file of weights; none in a file of others."""
    from safetensors import safe_open

    if file.suffix != ".safetensors":
        return ()
    with safe_open(file, "pt") as held:
        noted = (held.metadata() or {}).get("classes", "")
    return tuple(filter(None, noted.split(",")))
