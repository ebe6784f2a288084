"""What the peers on a GPU train: BERT with random weights under the notebook's four methods, on real texts."""

import csv
import json
import os
import platform
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/fixtures"))
sys.dont_write_bytecode = True

import torch  # noqa: E402
import transformers  # noqa: E402
from generators.models import with_lora, with_prefix, with_probe_head  # noqa: E402
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast  # noqa: E402

LEARNING_RATE, WEIGHT_DECAY, MAX_GRAD_NORM = 2e-5, 0.01, 1.0
VIRTUAL_TOKENS = 20
TINY = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128)
FILE_NAMES = {"train": ["train"], "test": ["test", "validation", "val"]}


def add_options(parser):
    """The options that every peer has."""
    parser.add_argument("--model", default=ROOT / "test/fixtures/bert-base-uncased", help="config.json, tokenizer.json")
    parser.add_argument("--data", default=ROOT / "assets/data/goemotions6", help="a folder of CSV files: text, label")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--batch", type=int, default=16, help="texts a step")
    parser.add_argument("--tiny", action="store_true", help="a tiny model in place of BERT-base's dimensions")


def read_rows(folder, split):
    """[(text, label)] of a split: a .csv with commas, or a .txt with semicolons; both have a line of titles."""
    for name in FILE_NAMES[split]:
        for suffix, delimiter in ((".csv", ","), (".txt", ";")):
            path = Path(folder) / f"{name}{suffix}"
            if not path.exists():
                continue
            with open(path, encoding="utf-8", newline="") as file:
                if suffix == ".csv":
                    return [(row[0], row[1]) for row in list(csv.reader(file, delimiter=delimiter))[1:]]
                return [tuple(line.rstrip("\r\n").rsplit(delimiter, 1)) for line in file][1:]
    raise SystemExit(f"no {' or '.join(FILE_NAMES[split])} with .csv or .txt in {folder}")


class Texts:
    """A split as token ids: what Trainer takes as a data set."""

    def __init__(self, rows, names, tokenizer, longest):
        encoded = tokenizer([text for text, _ in rows], truncation=True, max_length=longest)
        self.items = [
            {"input_ids": ids, "attention_mask": mask, "label": names.index(label)}
            for ids, mask, (_, label) in zip(encoded["input_ids"], encoded["attention_mask"], rows, strict=True)
        ]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]

    def statistics(self):
        """Tokens a text."""
        lengths = [len(item["input_ids"]) for item in self.items]
        return {"texts": len(lengths), "mean": sum(lengths) / len(lengths), "least": min(lengths), "most": max(lengths)}


def load(options):
    """The tokenizer, the training and test texts, the names of the classes. Prefixes take positions too."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(Path(options.model) / "tokenizer.json"),
        unk_token="[UNK]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        mask_token="[MASK]",
    )
    train, test = read_rows(options.data, "train"), read_rows(options.data, "test")
    names = sorted({label for _, label in train})
    longest = 512 - VIRTUAL_TOKENS
    return tokenizer, Texts(train, names, tokenizer, longest), Texts(test, names, tokenizer, longest), names


def build(method, options, names, classifier=BertForSequenceClassification, **settings):
    """A model with random weights: full, linear, prefix, or lora and its rank. `settings` are of its configuration."""
    dimensions = TINY if options.tiny else {}
    model = classifier(BertConfig.from_pretrained(options.model, num_labels=len(names), **dimensions, **settings))
    if method == "linear":
        return with_probe_head(model)
    if method == "prefix":
        return with_prefix(model, virtual_tokens=VIRTUAL_TOKENS, projection=True)
    if method.startswith("lora"):
        rank = int(method.removeprefix("lora"))
        return with_lora(model, rank=rank, alpha=4 * rank, dropout=0.1)
    if method != "full":
        raise SystemExit(f"unknown method {method}: full, linear, prefix, lora32")
    return model


def describe(options):
    """What runs, and where."""
    import peft

    on_gpu = options.device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "python": platform.python_version(),
    }


def synchronize(device):
    """Waits for the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()


def start_memory(device):
    """Forgets the highest memory so far."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device):
    """MiB at the highest: what tensors took, what the allocator held, and what the whole GPU has in use now."""
    if device != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "peak_MiB": torch.cuda.max_memory_allocated() / 2**20,
        "reserved_MiB": torch.cuda.max_memory_reserved() / 2**20,
        "device_MiB": (total - free) / 2**20,
    }


def emit(value):
    """Writes one line of JSON."""
    print(json.dumps(value), flush=True)
