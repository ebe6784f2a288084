// What the nodes of a step's graph are. Only the emulated device names them.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Notes the nodes of graphs that sessions record from now on. */
export class KernelList {
  #folder = mkdtempSync(path.join(os.tmpdir(), 'bertune-'));
  #file = path.join(this.#folder, 'nodes');

  constructor() {
    process.env.BERTUNE_EMULATED_LIST_GRAPHS = this.#file;
  }

  /** Of the graph that was recorded last: how often each kernel is in it, the most frequent first. */
  counts() {
    const counts = {};
    for (const line of readFileSync(this.#file, 'utf8').trim().split('\n')) {
      const name = line.replaceAll('bertune::cuda::', '').replaceAll('__nv_', '').replace(/, $/, ', ...>');
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return Object.fromEntries(Object.entries(counts).sort(([, a], [, b]) => b - a));
  }

  close() {
    delete process.env.BERTUNE_EMULATED_LIST_GRAPHS;
    rmSync(this.#folder, { recursive: true });
  }
}

export function printKernels({ method, precision, kernels }, layers) {
  console.log(`\n${method}, ${precision}: nodes of a step, and how many a layer\n`);
  for (const [name, count] of Object.entries(kernels)) {
    console.log(`${String(count).padStart(4)} ${(count / layers).toFixed(1).padStart(5)}  ${name}`);
  }
}
