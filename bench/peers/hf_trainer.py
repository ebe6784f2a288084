#!/usr/bin/env python3
"""The notebook's code: transformers' Trainer and PEFT, on BERT-base's dimensions with random weights.

    python bench/peers/hf_trainer.py --data assets/data/goemotions6          # a line of JSON a method and precision
    ... --methods full,linear,prefix,lora32 --precisions fp32,tf32,bf16 --steps 120 --warm-up 20
    ... --device cpu --tiny --steps 4 --warm-up 2 --precisions fp32 --eval 32             # whether it runs

Steps a second are those between the warm-up's last step and the end; the peak of memory is training's. Evaluation is
Trainer's, of `--eval` texts of the test split, after a first batch of it.
"""

import argparse
import gc
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

warnings.filterwarnings("ignore")

import workload  # noqa: E402
from transformers import (  # noqa: E402
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging  # noqa: E402

SEED = 42


@dataclass
class Peer:
    """What trains under Trainer, and in which methods and precisions where none are asked for."""

    name: str
    methods: list[str]
    precisions: list[str]
    build: Callable  # method, options, names of the classes → a model
    collator: Callable  # tokenizer → items into a batch


class Clock(TrainerCallback):
    """The time between two steps, both of them finished on the device."""

    def __init__(self, device, first, last):
        self.device, self.first, self.last = device, first, last
        self.seconds = 0.0

    def on_step_end(self, args, state, control, **rest):
        """Trainer calls it when a step has been launched."""
        if state.global_step in (self.first, self.last):
            workload.synchronize(self.device)
            now = time.perf_counter()
            if state.global_step == self.first:
                self.seconds = -now
            else:
                self.seconds += now


def arguments(options, precision, folder):
    """The notebook's."""
    return TrainingArguments(
        output_dir=folder,
        learning_rate=workload.LEARNING_RATE,
        weight_decay=workload.WEIGHT_DECAY,
        max_grad_norm=workload.MAX_GRAD_NORM,
        per_device_train_batch_size=options.batch,
        per_device_eval_batch_size=options.batch,
        max_steps=options.steps,
        seed=SEED,
        report_to="none",
        save_strategy="no",
        logging_steps=500,
        disable_tqdm=True,
        use_cpu=options.device == "cpu",
        bf16=precision == "bf16",
        **({"tf32": precision == "tf32"} if options.device == "cuda" else {}),
    )


def evaluate(trainer, texts, options):
    """Texts a second."""
    part = texts[: options.eval]
    trainer.evaluate(part[: options.batch])
    workload.synchronize(options.device)
    began = time.perf_counter()
    trainer.evaluate(part)
    workload.synchronize(options.device)
    return len(part) / (time.perf_counter() - began)


def run(peer, method, precision, options, parts):
    """Trains, and says how fast."""
    tokenizer, train, test, names = parts
    set_seed(SEED)
    workload.start_memory(options.device)
    clock = Clock(options.device, options.warm_up, options.steps)
    model = peer.build(method, options, names)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=arguments(options, precision, folder),
            train_dataset=train,
            eval_dataset=test,
            data_collator=peer.collator(tokenizer),
            callbacks=[clock],
        )
        trainer.label_names = ["labels"]
        trainer.remove_callback(PrinterCallback)
        result = trainer.train()
        memory = workload.peak_memory(options.device)
        row = {
            "peer": peer.name,
            "method": method,
            "precision": precision,
            "batch_size": options.batch,
            "steps_per_s": (options.steps - options.warm_up) / clock.seconds,
            **memory,
            "trainable": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
            "loss": result.training_loss,
        }
        if options.eval > 0:
            row["eval_texts_per_s"] = evaluate(trainer, test, options)
    return row


def split(names):
    """The parts of a list with commas."""
    return names.split(",")


def parse_options(peer, description):
    """The command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    workload.add_options(parser)
    parser.add_argument("--methods", type=split, default=peer.methods)
    parser.add_argument("--precisions", type=split, default=peer.precisions)
    parser.add_argument("--steps", type=int, default=120, help="steps, warm-up included")
    parser.add_argument("--warm-up", type=int, default=20, help="steps before the clock starts")
    parser.add_argument("--eval", type=int, default=2000, help="texts to evaluate, at most")
    options = parser.parse_args()
    if not 0 < options.warm_up < options.steps:
        parser.error("--warm-up has to be between 1 and --steps")
    return options


def main(peer, description):
    """Runs every method in every precision."""
    options = parse_options(peer, description)
    logging.set_verbosity_error()
    parts = workload.load(options)
    workload.emit({"peer": peer.name, "about": workload.describe(options), "data": parts[1].statistics()})
    for precision in options.precisions:
        for method in options.methods:
            try:
                workload.emit(run(peer, method, precision, options, parts))
            except Exception as error:
                about = {"peer": peer.name, "method": method, "precision": precision}
                workload.emit({**about, "error": repr(error)[:600]})
            gc.collect()


if __name__ == "__main__":
    methods, precisions = ["full", "linear", "prefix", "lora32"], ["fp32", "tf32", "bf16"]
    main(Peer("hf_trainer", methods, precisions, workload.build, DataCollatorWithPadding), __doc__)
