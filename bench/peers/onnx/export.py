"""Writes a BERT checkpoint with a classifier as transformers.js reads it: tokenizer, config.json, onnx/model.onnx (float32)
and onnx/model_quantized.onnx (int8, by onnxruntime's dynamic quantization).

    python export.py CHECKPOINT OUT
"""

import shutil
import sys
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModelForSequenceClassification


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits


def main(checkpoint: str, out: str) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
    folder = Path(out)
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(checkpoint) / name, folder / name)
    names = ("input_ids", "attention_mask", "token_type_ids")
    axes = {name: {0: "batch", 1: "sequence"} for name in names} | {"logits": {0: "batch"}}
    example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in names)
    torch.onnx.export(
        Logits(model),
        example,
        str(folder / "onnx" / "model.onnx"),
        input_names=list(names),
        output_names=["logits"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    model_file, quantized = (str(folder / "onnx" / name) for name in ("model.onnx", "model_quantized.onnx"))
    quantize_dynamic(model_file, quantized, per_channel=True, weight_type=QuantType.QInt8)


if __name__ == "__main__":
    main(*sys.argv[1:])
