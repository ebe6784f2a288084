import { join, resolve } from 'node:path';
import { rowsDigest } from '../data/digest.js';
import { drawSplits, expectSplitOptions } from '../data/fractions.js';
import type { HeldOut, Split, SplitOptions, TextDataset } from '../data/types.js';
import { embeddedPath } from '../embedded.js';
import { readJsonObject } from '../files/input.js';
import { inSlices } from '../time-slice.js';

/** The record of a run, beside its model. */
export const RESULTS_FILE = 'results.json';

/** What is known of the data that a model was trained on. */
export class TrainedOn {
  private constructor(
    /** Where they were, as it was given. */
    readonly source: string,
    /** Of the training rows; undefined where it is not known. */
    private readonly trainDigest: string | undefined,
    /** What was taken out of the training rows; undefined where nothing was. */
    readonly heldOut: (SplitOptions & Pick<HeldOut, 'digest'>) | undefined,
  ) {}

  /** What the results.json beside a model says; undefined where there is none that says it. */
  static async of(model: string): Promise<TrainedOn | undefined> {
    const path = join(embeddedPath('model', model), RESULTS_FILE);
    const results = await readJsonObject(path, 'INVALID_DATA').catch(() => undefined);
    const { source, train_digest, held_out } = fields(results?.data);
    if (typeof source !== 'string') return undefined;
    return new TrainedOn(source, typeof train_digest === 'string' ? train_digest : undefined, heldOutOf(held_out));
  }

  /** Whether a source is the one that was named for training. */
  isSource(source: string): boolean {
    return resolve(source) === resolve(this.source);
  }

  /** Takes the same rows out of a training split again; undefined where it has others now. */
  async divide(train: Split, signal: AbortSignal): Promise<TextDataset | undefined> {
    if (this.heldOut === undefined) return undefined;
    const data = { labels: train.labelNames, train: { ...train, name: 'train' } };
    const divided = await inSlices(drawSplits(data, this.heldOut), signal);
    return divided.heldOut?.digest === this.heldOut.digest ? divided : undefined;
  }

  /** Whether a split is, row by row, what was trained on. */
  async isTrainingSplit(split: Split, signal: AbortSignal): Promise<boolean> {
    if (this.trainDigest === undefined) return false;
    return (await inSlices(rowsDigest([{ ...split, name: 'train' }]), signal)) === this.trainDigest;
  }
}

/** Files pass through many hands: what is not as it was written counts as not there. */
function heldOutOf(value: unknown): TrainedOn['heldOut'] {
  const { fractions, seed, stratified, digest } = fields(value);
  if (typeof digest !== 'string') return undefined;
  try {
    return { ...expectSplitOptions({ ...fields(fractions), seed, stratify: stratified }), digest };
  } catch {
    return undefined;
  }
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
