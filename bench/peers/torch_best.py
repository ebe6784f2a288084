#!/usr/bin/env python3
"""The fastest PyTorch that a careful user would write for the same steps: BERT-base's dimensions, random weights.

    python bench/peers/torch_best.py --data assets/data/goemotions6                # a line of JSON a method and graph
    ... --methods full,lora32 --graphs whole,compiled --weights bf16 --mode max-autotune --steps 250
    ... --device cpu --tiny --mode none --steps 4                                                  # whether it runs

torch.compile, bf16 weights, fused AdamW, scaled_dot_product_attention, texts padded (or cut) to 64 tokens so that every
shape is static, batches on their way to the GPU while it works. Two ways to CUDA graphs:

    whole      the compiled step (forward, backward, clipping, AdamW) captured as one graph by hand
    compiled   torch.compile's own graphs of forward and of backward; clipping and AdamW are launched step by step

`--weights fp32` keeps the weights in fp32 under autocast, as a user who wants AdamW's small updates to count has to.
"""

import argparse
import gc
import time

import workload
import torch
from transformers.utils import logging

LENGTH = 64
CAPTURE_WARM_UP = 4
MODES = ("max-autotune", "reduce-overhead", "default", "none")
WITHOUT_GRAPHS = {"max-autotune": "max-autotune-no-cudagraphs", "reduce-overhead": "default"}


def make_batches(texts, options):
    """ids (B,64), mask (B,64), labels (B) of every step, in pinned memory."""
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(42)).tolist()
    batches = []
    for step in range(options.warm_up + options.steps):
        ids = torch.zeros(options.batch, LENGTH, dtype=torch.long)
        mask = torch.zeros(options.batch, LENGTH, dtype=torch.long)
        labels = torch.zeros(options.batch, dtype=torch.long)
        for row in range(options.batch):
            item = texts[order[(step * options.batch + row) % len(order)]]
            length = min(LENGTH, len(item["input_ids"]))
            ids[row, :length] = torch.tensor(item["input_ids"][:length])
            mask[row, :length] = 1
            labels[row] = item["label"]
        batch = (ids, mask, labels)
        batches.append(tuple(array.pin_memory() for array in batch) if options.device == "cuda" else batch)
    return batches


class Step:
    """A training step on a model."""

    def __init__(self, method, graph, options, names):
        torch.manual_seed(42)
        self.device, self.options = options.device, options
        model = workload.build(method, options, names).to(self.device)
        if options.weights == "bf16":
            model = model.to(torch.bfloat16)
        self.model = model.train()
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=workload.LEARNING_RATE,
            weight_decay=workload.WEIGHT_DECAY,
            fused=True,
            **({"capturable": True} if graph == "whole" else {}),
        )
        self.compiled = self.model
        if options.mode != "none":
            mode = WITHOUT_GRAPHS.get(options.mode, options.mode) if graph == "whole" else options.mode
            self.compiled = torch.compile(self.model, mode=mode, dynamic=False)

    def __call__(self, ids, mask, labels):
        with torch.autocast(self.device, torch.bfloat16, enabled=self.options.weights == "fp32"):
            loss = self.compiled(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, workload.MAX_GRAD_NORM, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()


class WholeGraph:
    """The step as one CUDA graph, replayed on buffers that each batch is copied to."""

    def __init__(self, step, batch):
        self.inputs = [array.cuda() for array in batch]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(CAPTURE_WARM_UP):
                step(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        workload.start_memory("cuda")
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = step(*self.inputs)

    def __call__(self, batch):
        for buffer, array in zip(self.inputs, batch, strict=True):
            buffer.copy_(array, non_blocking=True)
        self.graph.replay()
        return self.loss


def runner_of(step, graph, batch):
    """A function from a batch in the host's memory to its loss. Compiled: what that took counts as no step's memory."""
    if step.device == "cuda" and graph == "whole":
        return WholeGraph(step, batch)

    def run(batch):
        if step.device == "cuda":
            torch.compiler.cudagraph_mark_step_begin()
        return step(*(array.to(step.device, non_blocking=True) for array in batch))

    run(batch)
    workload.synchronize(step.device)
    workload.start_memory(step.device)
    return run


def run(method, graph, options, batches, names):
    """Trains, and says how fast."""
    torch.compiler.reset()
    workload.start_memory(options.device)
    began = time.perf_counter()
    step = Step(method, graph, options, names)
    train = runner_of(step, graph, batches[0])
    for batch in batches[: options.warm_up]:
        loss = train(batch)
    workload.synchronize(options.device)
    warm_up = time.perf_counter() - began
    began = time.perf_counter()
    for batch in batches[options.warm_up :]:
        loss = train(batch)
    workload.synchronize(options.device)
    seconds = time.perf_counter() - began
    return {
        "peer": "torch_best",
        "method": method,
        "graph": graph,
        "mode": options.mode,
        "weights": options.weights,
        "precision": "bf16",
        "batch_size": options.batch,
        "padded_to": LENGTH,
        "steps_per_s": options.steps / seconds,
        **workload.peak_memory(options.device),
        "warm_up_s": warm_up,
        "loss": loss.item(),
    }


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    workload.add_options(parser)
    parser.add_argument("--methods", type=lambda names: names.split(","), default=["full", "lora32"])
    parser.add_argument("--graphs", type=lambda names: names.split(","), default=["whole", "compiled"])
    parser.add_argument("--mode", default="max-autotune", choices=MODES)
    parser.add_argument("--weights", default="bf16", choices=("bf16", "fp32"))
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--warm-up", type=int, default=30, help="steps before the clock starts")
    return parser.parse_args()


def main():
    """Runs every method with either kind of graph."""
    options = parse_options()
    logging.set_verbosity_error()
    torch.set_float32_matmul_precision("high")
    _, train, _, names = workload.load(options)
    batches = make_batches(train, options)
    workload.emit({"peer": "torch_best", "about": workload.describe(options), "data": train.statistics()})
    for method in options.methods:
        for graph in options.graphs:
            try:
                workload.emit(run(method, graph, options, batches, names))
            except Exception as error:
                about = {"peer": "torch_best", "method": method, "graph": graph, "weights": options.weights}
                workload.emit({**about, "error": repr(error)[:600]})
            gc.collect()


if __name__ == "__main__":
    main()
