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

  /**
   * Of the graph that was recorded last: how often each kernel is in it, the most frequent first, and how often its launch
   * overlaps the kernel ahead.
   */
  counts() {
    const counts = {};
    for (const line of readFileSync(this.#file, 'utf8').trim().split('\n')) {
      const name = line.replace(/^\+/, '').replaceAll('bertune::cuda::', '').replaceAll('__nv_', '');
      const key = name.replace(/, $/, ', ...>');
      const { nodes = 0, overlapping = 0 } = counts[key] ?? {};
      counts[key] = { nodes: nodes + 1, overlapping: overlapping + (line.startsWith('+') ? 1 : 0) };
    }
    return Object.fromEntries(Object.entries(counts).sort(([, a], [, b]) => b.nodes - a.nodes));
  }

  close() {
    delete process.env.BERTUNE_EMULATED_LIST_GRAPHS;
    rmSync(this.#folder, { recursive: true });
  }
}

function printCount(name, nodes, overlapping, layers) {
  const aLayer = (nodes / layers).toFixed(1);
  console.log(`${String(nodes).padStart(4)} ${String(overlapping).padStart(4)} ${aLayer.padStart(5)}  ${name}`);
}

export function printKernels({ method, precision, kernels }, layers) {
  console.log(`\n${method}, ${precision}: nodes of a step, those that overlap the kernel ahead, and nodes a layer\n`);
  const all = { nodes: 0, overlapping: 0 };
  for (const [name, { nodes, overlapping }] of Object.entries(kernels)) {
    printCount(name, nodes, overlapping, layers);
    all.nodes += nodes;
    all.overlapping += overlapping;
  }
  printCount('all', all.nodes, all.overlapping, layers);
}
