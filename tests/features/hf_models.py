"""Tiny random models of several families, in the form of the Hugging Face hub."""

from __future__ import annotations

import json
from pathlib import Path

WAV = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
LAYERED = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 32}
BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz,.!"]


def saved(folder: Path, model, *helpers) -> str:
    """Save a model of a config, drawn from one seed, with what prepares its inputs."""
    model.save_pretrained(folder)
    for helper in helpers:
        helper.save_pretrained(folder)
    return str(folder)


def wav2vec2(folder: Path, kind: str = "Wav2Vec2", **changes) -> str:
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**WAV, **changes})
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    return saved(folder, getattr(transformers, f"{kind}Model")(config), extractor)


def whisper(folder: Path) -> str:
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=20, num_mel_bins=8, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_source_positions=100, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    return saved(folder, WhisperModel(config), WhisperFeatureExtractor(feature_size=8, chunk_length=2))


def w2v_bert(folder: Path) -> str:
    import torch
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        feature_projection_input_dim=160,
    )  # fmt: skip
    return saved(folder, Wav2Vec2BertModel(config), SeamlessM4TFeatureExtractor())


def vit(folder: Path, pooler: bool = True) -> str:
    import torch
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    network = ViTModel(ViTConfig(**VIT, patch_size=8), add_pooling_layer=pooler)
    return saved(folder, network, ViTImageProcessor(size={"height": 32, "width": 32}))


def clip(folder: Path) -> str:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    text = {**BERT, "vocab_size": 20, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    network = CLIPModel(CLIPConfig(text_config=text, vision_config={**VIT, "patch_size": 8}, projection_dim=4))
    sizes = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
    return saved(folder, network, CLIPImageProcessor(**sizes))


def resnet(folder: Path) -> str:
    import torch
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetModel

    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    return saved(folder, ResNetModel(config).eval(), ConvNextImageProcessor(size={"shortest_edge": 32}))


def bert(folder: Path, **changes) -> str:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    words = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    network = BertModel(BertConfig(**{**BERT, "vocab_size": len(words), "max_position_embeddings": 40, **changes}))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return saved(folder, network)
