#!/usr/bin/env python3
"""Holds checkpoints and adapters against transformers and PEFT, either way round.

    python bench/peers/check_interop.py logits DIR --inputs FILE [--base BASE] [--expect FILE] [--tolerance 1e-5]
    python bench/peers/check_interop.py save DIR --base BASE --method METHOD --inputs FILE [--labels joy,anger,...]

`logits` loads the checkpoint or adapter DIR (an adapter on BASE, or on the folder that its configuration names), prints
{"logits": [[...], ...]} and, with --expect, compares them with the file's "logits" and ends with status 1 where one is
further away than the tolerance. `save` makes a model of METHOD (full, linear, lora, lora-dense, prefix, prefix-noproj)
(or a variant of LoRA: lora-rslora, lora-patterns, lora-layers, lora-bias, lora-dora)
from BASE with random values in everything new, saves it to DIR and prints its logits: another program that reads DIR
must find the same.

--inputs is a JSON list of texts, of lists of token ids, or of both. Texts are encoded by the tokenizer.json of DIR,
else of BASE. Each input runs alone, in float64, without dropout.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/fixtures"))
sys.dont_write_bytecode = True

import tokenizers  # noqa: E402
import torch  # noqa: E402
from generators.models import ProbeHead, with_lora, with_prefix, with_probe_head  # noqa: E402
from peft import PeftModel  # noqa: E402
from safetensors import safe_open  # noqa: E402
from transformers import AutoModelForSequenceClassification  # noqa: E402
from transformers.utils import logging  # noqa: E402

METHODS = {
    "full": lambda model: model,
    "linear": with_probe_head,
    "lora": lambda model: with_lora(model, rank=8, alpha=32, targets=None),
    "lora-dense": lambda model: with_lora(model, rank=4, alpha=8, targets="all-linear"),
    "lora-rslora": lambda model: with_lora(model, rank=4, alpha=8, use_rslora=True),
    "lora-patterns": lambda model: with_lora(
        model, rank=4, alpha=8, rank_pattern={"query": 2}, alpha_pattern={r"layer\.0.*value": 16}
    ),
    "lora-layers": lambda model: with_lora(
        model, rank=4, alpha=8, targets=("query", "key", "value"), layers_to_transform=[1], exclude_modules=["key"]
    ),
    "lora-bias": lambda model: with_lora(model, rank=4, alpha=8, bias="all"),
    "lora-dora": lambda model: with_lora(model, rank=4, alpha=8, targets="all-linear", use_dora=True),
    "prefix": lambda model: with_prefix(model, virtual_tokens=5, projection=True),
    "prefix-noproj": lambda model: with_prefix(model, virtual_tokens=5, projection=False),
}


def load_checkpoint(folder, **options):
    """A checkpoint as transformers reads it, under a probe head where it holds one."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, **options)
    tensors = read_tensors(folder, lambda name: name.startswith("classifier.classifier."))
    if tensors:
        model.classifier = ProbeHead(model.config.hidden_size, len(tensors["classifier.classifier.5.bias"]))
        model.classifier.load_state_dict({name.removeprefix("classifier."): value for name, value in tensors.items()})
    return model


def read_tensors(folder, wanted):
    """The tensors of a folder's safetensors files whose names are wanted."""
    tensors = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors.update({name: file.get_tensor(name) for name in file.keys() if wanted(name)})
    return tensors


def load(folder, base):
    """The checkpoint in `folder`, or the adapter in it on `base`. Returns the model and the base's folder."""
    path = Path(folder) / "adapter_config.json"
    if not path.exists():
        return load_checkpoint(folder), base
    config = json.loads(path.read_text(encoding="utf-8"))
    base = base or config["base_model_name_or_path"]
    heads = list(read_tensors(folder, lambda name: name.endswith("classifier.bias")).values())
    options = {"num_labels": len(heads[0])} if heads else {}
    return PeftModel.from_pretrained(load_checkpoint(base, **options), folder), base


def randomise(model):
    """Moves every trainable constant (biases, LayerNorm weights, LoRA's B) off its start: nothing may be neutral."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and (parameter.dim() == 1 or "lora_B" in name):
                parameter.add_(0.05 * torch.randn_like(parameter))


def save(folder, options):
    """Makes a model of the method asked for, saves it and returns it."""
    torch.manual_seed(0)
    names = dict(enumerate(options.labels.split(","))) if options.labels else {}
    labels = {"id2label": names, "label2id": {name: i for i, name in names.items()}} if names else {}
    model = METHODS[options.method](load_checkpoint(options.base, **labels))
    randomise(model)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (Path(options.base) / name).exists():
            shutil.copy(Path(options.base) / name, folder)
    return model


def encode(inputs, folders):
    """Token ids of the inputs; texts go through the first tokenizer.json found in the folders."""
    paths = [Path(folder) / "tokenizer.json" for folder in folders if folder]
    path = next((path for path in paths if path.exists()), None)
    if path is None and any(isinstance(item, str) for item in inputs):
        raise SystemExit("no tokenizer.json for the texts; give token ids instead")
    tokenizer = path and tokenizers.Tokenizer.from_file(str(path))
    if tokenizer:
        tokenizer.enable_truncation(512)
    return [tokenizer.encode(item).ids if isinstance(item, str) else item for item in inputs]


@torch.no_grad()
def logits_of(model, sequences):
    """The logits of each token sequence, alone."""
    model = model.double().eval()
    rows = []
    for ids in sequences:
        tokens = torch.tensor([ids])
        rows.append(model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0].tolist())
    return rows


def compare(computed, path, tolerance):
    """Says how far the logits in `path` are from the computed ones; returns the exit status."""
    expected = torch.tensor(json.loads(Path(path).read_text(encoding="utf-8"))["logits"], dtype=torch.float64)
    actual = torch.tensor(computed, dtype=torch.float64)
    if actual.shape != expected.shape:
        print(f"logits of shape {tuple(actual.shape)}, expected {tuple(expected.shape)}", file=sys.stderr)
        return 1
    difference = (actual - expected).abs().max().item()
    print(f"largest difference {difference:.3g}, allowed {tolerance:.3g}", file=sys.stderr)
    return 0 if difference <= tolerance else 1


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("logits", help="load DIR and print its logits")
    reading.add_argument("--base", help="the checkpoint under an adapter")
    reading.add_argument("--expect", help="JSON with the logits to compare with")
    reading.add_argument("--tolerance", type=float, default=1e-5)
    saving = commands.add_parser("save", help="make a model, save it to DIR and print its logits")
    saving.add_argument("--base", required=True, help="the checkpoint to start from")
    saving.add_argument("--method", required=True, choices=METHODS)
    saving.add_argument("--labels", help="names of the classes, where BASE has no classifier")
    for command in (reading, saving):
        command.add_argument("dir", metavar="DIR")
        command.add_argument("--inputs", required=True, help="JSON list of texts or of lists of token ids")
    return parser.parse_args()


def main():
    """Runs the command; returns the exit status."""
    options = parse_options()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    inputs = json.loads(Path(options.inputs).read_text(encoding="utf-8"))
    if options.command == "save":
        model, base = save(options.dir, options), options.base
    else:
        model, base = load(options.dir, options.base)
    rows = logits_of(model, encode(inputs, (options.dir, base)))
    print(json.dumps({"logits": rows}))
    return compare(rows, options.expect, options.tolerance) if options.command == "logits" and options.expect else 0


if __name__ == "__main__":
    sys.exit(main())
