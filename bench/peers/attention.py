#!/usr/bin/env python3
"""cuDNN's and FlashAttention's fused attention, as torch.nn.functional.scaled_dot_product_attention runs them.

    python bench/peers/attention.py                       # a line of JSON a backend, length and dropout; needs a GPU
    ... --lengths 22,64,128,256,512 --texts 16,32,64 --backends cudnn,flash,efficient --dropouts 0,0.1
    ... --device cpu --backends math --lengths 8 --calls 2                                 # whether it runs

12 heads of 64 in bf16, every text of the batch of one length, so that nothing is masked: what suits the peers best. The
times are of replays of a CUDA graph of many calls: of forwards, and of forwards with their backwards; their difference
is backward's. `--layout packed` gives q, k and v as parts of one (B,L,3C), as a product for all three leaves them.
"""

import argparse
import itertools
import statistics
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import workload

BACKENDS = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
HEADS, HEAD_SIZE = 12, 64
WARM_UP, REPETITIONS = 3, 7


def make_inputs(texts, length, options):
    """What wants gradients: q, k, v (B,NH,L,HS), or qkv (B,L,3C) that they are parts of."""
    heads = (texts, HEADS, length, HEAD_SIZE)
    shapes = [(texts, length, 3 * HEADS * HEAD_SIZE)] if options.layout == "packed" else [heads] * 3
    leaves = [torch.randn(*shape, device=options.device, dtype=torch.bfloat16).requires_grad_() for shape in shapes]
    return leaves, torch.randn(*heads, device=options.device, dtype=torch.bfloat16)


def split(leaves):
    """q, k, v (B,NH,L,HS)."""
    if len(leaves) == 3:
        return leaves
    return [part.unflatten(-1, (HEADS, HEAD_SIZE)).transpose(1, 2) for part in leaves[0].chunk(3, dim=-1)]


def seconds_of(call, options):
    """Median seconds of one call, from a CUDA graph of many."""
    if options.device == "cpu":
        call()
        began = time.perf_counter()
        for _ in range(options.calls):
            call()
        return (time.perf_counter() - began) / options.calls
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(options.calls):
            call()
    times = []
    for _ in range(WARM_UP + REPETITIONS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / options.calls)
    return statistics.median(times[WARM_UP:])


def measure(texts, length, dropout, options):
    """Microseconds forward and backward under the backend that is on."""
    leaves, dout = make_inputs(texts, length, options)

    def forward():
        return F.scaled_dot_product_attention(*split(leaves), dropout_p=dropout)

    def both():
        return torch.autograd.grad(forward(), leaves, dout)

    # What forward keeps for backward is part of a training step's forward.
    alone = seconds_of(forward, options)
    return {"forward_us": alone * 1e6, "backward_us": (seconds_of(both, options) - alone) * 1e6}


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda kind: lambda text: [kind(part) for part in text.split(",")]  # noqa: E731
    parser.add_argument("--backends", type=lambda names: names.split(","), default=["cudnn", "flash", "efficient"])
    parser.add_argument("--lengths", type=numbers(int), default=[22, 32, 64, 128, 256, 512])
    parser.add_argument("--dropouts", type=numbers(float), default=[0.0, 0.1])
    parser.add_argument("--texts", type=numbers(int), default=[16])
    parser.add_argument("--calls", type=int, default=50, help="calls in a graph")
    parser.add_argument("--layout", default="heads", choices=("heads", "packed"))
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    return parser.parse_args()


def main():
    """Runs every backend on every length."""
    options = parse_options()
    workload.emit({"peer": "attention", "about": workload.describe(options)})
    for backend, dropout, texts, length in itertools.product(
        options.backends, options.dropouts, options.texts, options.lengths
    ):
        about = {
            "peer": "attention",
            "backend": backend,
            "precision": "bf16",
            "texts": texts,
            "length": length,
            "dropout_p": dropout,
            "layout": options.layout,
        }
        try:
            with sdpa_kernel(BACKENDS[backend]):
                workload.emit({**about, **measure(texts, length, dropout, options)})
        except Exception as error:
            workload.emit({**about, "error": repr(error)[:300]})


if __name__ == "__main__":
    main()
