#!/usr/bin/env python3
"""The rates of PyTorch on the CPU: training a BERT classifier in full or by LoRA (r=32), and predicting with it.

Written as a careful user would: torch's fused attention and fused AdamW, batches padded to their longest text and made
before the clock starts.

    python bench/peers/torch_cpu.py --threads 2                  # batches of the embedded data, in Trainer's order
    python bench/peers/torch_cpu.py --threads 2 --batches FILE   # the batches of a file, as another program runs them
    ... --interactive                                            # a block for each line of standard input: its method

A block is `--steps` batches of one method. Methods take turns, `--repeats` times; each has warmed up before. Every
block is a line of JSON on standard output, and the last line holds the medians. With --interactive a program can let
its own blocks alternate with these, so that both see the same machine: it waits for the line {"ready": ...}, then
writes "full", "lora" or "predict" and reads one line, and closes standard input to have the medians. The n-th block of
a method runs the same batches either way: `--steps` of them from n x `--steps` on, from the start again after the last.

FILE is JSON: {"labels": 6, "batches": [{"ids": [[101, 2023, 102], ...], "labels": [0, ...]}, ...]}.
"""

import argparse
import csv
import itertools
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import peft  # noqa: E402
import tokenizers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("full", "lora", "predict")
LEARNING_RATE, WEIGHT_DECAY, MAX_GRAD_NORM = 1e-4, 0.01, 1.0
RANK = 32


def read_batches(path):
    """The batches of a file, and the number of labels."""
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    return content["batches"], content["labels"]


def make_batches(data, model, size, seed):
    """One epoch of the texts of a CSV file in the order in which Trainer reads them, and the number of labels."""
    with open(data, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["label"] for row in rows})
    tokenizer = tokenizers.Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
    tokenizer.enable_truncation(512)
    ids = [encoding.ids for encoding in tokenizer.encode_batch([row["text"] for row in rows])]
    labels = [names.index(row["label"]) for row in rows]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    groups = [order[i : i + size] for i in range(0, len(order), size)]
    batches = [{"ids": [ids[i] for i in group], "labels": [labels[i] for i in group]} for group in groups]
    return batches, len(names)


def pad(batch):
    """The model's arguments for a batch: ids padded to its longest text, the mask, the labels."""
    lengths = torch.tensor([len(ids) for ids in batch["ids"]])
    width = int(lengths.max())
    return {
        "input_ids": torch.tensor([ids + [0] * (width - len(ids)) for ids in batch["ids"]]),
        "attention_mask": (torch.arange(width)[None, :] < lengths[:, None]).long(),
        "labels": torch.tensor(batch["labels"]),
    }


class Runner:
    """One method on a model of its own; in bf16 by autocast, as Trainer does it."""

    def __init__(self, method, folder, labels, precision):
        torch.manual_seed(0)
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
        self.method = method
        self.model = transformers.BertForSequenceClassification.from_pretrained(
            folder, num_labels=labels, dtype=torch.float32
        )
        if method == "lora":
            config = peft.LoraConfig(
                task_type="SEQ_CLS", r=RANK, lora_alpha=4 * RANK, lora_dropout=0.1, target_modules=["query", "value"]
            )
            self.model = peft.get_peft_model(self.model, config)
        self.model.train(method != "predict")
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)

    def step(self, batch):
        """Trains on a batch, or predicts it."""
        if self.method == "predict":
            with torch.inference_mode(), self.autocast:
                self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.tolist()
            return
        with self.autocast:
            loss = self.model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRAD_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()


def run_block(runner, batches):
    """Runs each of the batches once and says how long that took."""
    start = time.perf_counter()
    for batch in batches:
        runner.step(batch)
    seconds = time.perf_counter() - start
    texts = sum(len(batch["labels"]) for batch in batches)
    return {
        "method": runner.method,
        "seconds": seconds,
        "steps_per_s": len(batches) / seconds,
        "texts_per_s": texts / seconds,
        "tokens": int(sum(batch["attention_mask"].sum() for batch in batches)),
        "padded_tokens": sum(batch["input_ids"].numel() for batch in batches),
    }


def describe(options):
    """What ran, and where."""
    return {
        "peer": "PyTorch, CPU",
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.platform(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "model": str(options.model),
        "steps": options.steps,
        "precision": options.precision,
    }


def requests(options):
    """The methods to run a block of: as asked on standard input, or in turn."""
    if options.interactive:
        return (line.strip() for line in sys.stdin if line.strip())
    return itertools.chain.from_iterable([options.methods] * options.repeats)


def emit(value):
    """Writes one line of JSON."""
    print(json.dumps(value), flush=True)


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=ROOT / "assets/models/bert-mini", help="a checkpoint's folder")
    parser.add_argument("--batches", help="a file of batches; without it they are made from --data")
    parser.add_argument("--data", default=ROOT / "assets/data/goemotions6/train.csv", help="CSV with text and label")
    parser.add_argument("--batch-size", type=int, default=16, help="texts a batch, with --data")
    parser.add_argument("--seed", type=int, default=42, help="seed of the order, with --data")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16 by autocast")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--methods", type=lambda names: names.split(","), default=METHODS, help="of full,lora,predict")
    parser.add_argument("--steps", type=int, default=40, help="batches a block")
    parser.add_argument("--warm-up", type=int, default=10, help="batches before the first block of a method")
    parser.add_argument("--repeats", type=int, default=5, help="blocks a method")
    parser.add_argument("--interactive", action="store_true", help="run a block for each line of standard input")
    options = parser.parse_args()
    unknown = sorted(set(options.methods) - set(METHODS))
    if unknown:
        parser.error(f"unknown method: {', '.join(unknown)}")
    return options


def main():
    """Runs the blocks that were asked for and prints them, then the medians."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if options.batches:
        batches, labels = read_batches(options.batches)
    else:
        batches, labels = make_batches(options.data, options.model, options.batch_size, options.seed)
    batches = [pad(batch) for batch in batches]
    runners = {method: Runner(method, options.model, labels, options.precision) for method in options.methods}
    for runner in runners.values():
        run_block(runner, batches[: options.warm_up])
    emit({"ready": describe(options)})
    streams = {method: itertools.cycle(batches) for method in runners}
    rates = {method: [] for method in runners}
    for method in requests(options):
        block = run_block(runners[method], list(itertools.islice(streams[method], options.steps)))
        rates[method].append(block["steps_per_s"])
        emit(block)
    emit({"median_steps_per_s": {method: statistics.median(values) for method, values in rates.items() if values}})


if __name__ == "__main__":
    main()
