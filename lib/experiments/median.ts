import { join } from 'node:path';
import { mkdir, readdir } from '../files/fs.js';
import { readJsonObject } from '../files/input.js';
import { isObject } from '../files/json.js';
import { writeJson } from '../files/output.js';
import type { StopRecord } from '../report/records.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import { type BestMetric, higherIsBetter } from '../tasks/index.js';
import type { EpochSummary } from '../training/events.js';
import type { MedianStop } from './experiment.js';

/** Fewer other runs say nothing. */
const LEAST_OTHERS = 3;

/** The metric of a run after each epoch; null: it had none. */
type Curve = readonly (number | null)[];

/**
 * Median stopping (Golovin et al., 2017), with the metric of the epoch itself: a run ends after an epoch where its metric is
 * worse than the median of the others' after that epoch. Runs tell each other their metrics in files, one per run.
 */
export class MedianRule {
  readonly #stop: MedianStop;
  readonly #name: string;
  readonly #metric: BestMetric;
  readonly #curve: (number | null)[];
  /** Why the run was ended; undefined: it was not. */
  ended: StopRecord | undefined;

  private constructor(stop: MedianStop, name: string, metric: BestMetric, curve: Curve) {
    this.#stop = stop;
    this.#name = name;
    this.#metric = metric;
    this.#curve = [...curve];
  }

  /**
   * @param name of the run
   * @param metric on the validation split
   */
  static async of(stop: MedianStop, name: string, metric: BestMetric): Promise<MedianRule> {
    await mkdir(stop.curves, { recursive: true });
    const own = await readCurve(join(stop.curves, `${name}.json`), stop.group);
    return new MedianRule(stop, name, metric, own ?? []);
  }

  /** Whether a run ends after an epoch. @throws BertuneError OUTPUT_REFUSED */
  async ends({ epoch, evaluation }: EpochSummary): Promise<boolean> {
    const { curves, group, grace } = this.#stop;
    const at = Math.ceil(epoch) - 1;
    const value = numberOf(evaluation, this.#metric);
    // Of a run that goes on from a checkpoint, later ones are of before.
    this.#curve.length = at;
    this.#curve[at] = value;
    await writeJson(join(curves, `${this.#name}.json`), { group, metric: this.#metric, values: this.#curve });
    if (at < grace || value === null) return false;
    const others = (await this.#others()).flatMap((curve) => curve[at] ?? []);
    if (others.length < LEAST_OTHERS) return false;
    const median = medianOf(others);
    const isWorse = higherIsBetter(this.#metric) ? value < median : value > median;
    if (isWorse) this.ended = { rule: 'median', epoch: at + 1, metric: this.#metric, value, median, of: others.length };
    return isWorse;
  }

  async #others(): Promise<Curve[]> {
    const { curves, group } = this.#stop;
    const names = (await readdir(curves)).filter((name) => /^\w+\.json$/.test(name) && name !== `${this.#name}.json`);
    const found = await Promise.all(names.map((name) => readCurve(join(curves, name), group)));
    return found.filter((curve) => curve !== undefined);
  }
}

function numberOf(evaluation: EvaluateResult | null, metric: BestMetric): number | null {
  const value = evaluation?.[metric];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A run's metrics, where its file is whole and of the same group. */
async function readCurve(path: string, group: string): Promise<Curve | undefined> {
  const json = await readJsonObject(path, 'INVALID_DATA').catch(() => undefined);
  if (!isObject(json) || json.group !== group || !Array.isArray(json.values)) return undefined;
  return json.values.map((value) => (typeof value === 'number' ? value : null));
}
