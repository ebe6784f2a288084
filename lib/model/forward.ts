import type { MethodPlan } from '../methods/index.js';
import type { NativeDataset, NativeSession } from '../native/index.js';
import { TimeSlice, throwIfAborted } from '../time-slice.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import type { NamedAdapter } from './adapters.js';
import { type BatchPlan, groupedLongestFirst, Pace, packBatches } from './batches.js';
import { datasetOf, type Values, withDatasetOn } from './session.js';

/** Seconds of work a call of the addon. */
const CALL_SECONDS = 0.1;

/**
 * Logits of a dataset's examples, dropout off.
 *
 * @param native the session
 * @param handle of the dataset in it
 * @param batches of its examples
 * @param signal looked at several times a second
 * @param examples of the dataset (N), where the batches are not over all. Defaults to those of the batches.
 * @returns (N, NC), in the order of the dataset; 0 for examples of no batch
 * @throws BertuneError ABORTED, OUT_OF_MEMORY
 */
export async function forwardBatches(
  native: NativeSession,
  handle: number,
  batches: BatchPlan,
  signal: AbortSignal | undefined,
  examples = batches.order.length,
): Promise<Values> {
  const { starts, order } = batches;
  await planMemory(native, batches);
  const pace = new Pace(CALL_SECONDS);
  let logits: Values = new Float32Array(0);
  for (let batch = 0; batch + 1 < starts.length; ) {
    throwIfAborted(signal);
    const count = Math.min(pace.next(), starts.length - 1 - batch);
    const own = order.slice(starts[batch], starts[batch + count]);
    const began = performance.now();
    const rows = await native.forward(handle, own, startsOf(batches, batch, count));
    pace.measured(count, (performance.now() - began) / 1000);
    const classes = rows.length / own.length;
    if (batch === 0) logits = new (rows instanceof Float64Array ? Float64Array : Float32Array)(examples * classes);
    await scatterRows(rows, own, classes, logits);
    batch += count;
  }
  return logits;
}

/**
 * Logits of a dataset's examples, each by its own adapter.
 *
 * @param adapters the handle of each example's (N), 0 for the model
 * @param classes of each example's (N)
 * @returns a row an example (N), views of arrays that several share
 * @throws BertuneError ABORTED, OUT_OF_MEMORY, NOT_FOUND
 */
async function forwardMixedBatches(
  native: NativeSession,
  handle: number,
  batches: BatchPlan,
  adapters: Int32Array,
  classes: Int32Array,
  signal: AbortSignal | undefined,
): Promise<Values[]> {
  const { starts, order } = batches;
  await planMemory(native, batches);
  const pace = new Pace(CALL_SECONDS);
  const slice = new TimeSlice();
  const rows = new Array<Values>(order.length);
  for (let batch = 0; batch + 1 < starts.length; ) {
    throwIfAborted(signal);
    const count = Math.min(pace.next(), starts.length - 1 - batch);
    const examples = order.slice(starts[batch], starts[batch + count]);
    const handles = examples.map((example) => adapters[example]!);
    const began = performance.now();
    const logits = await native.forwardMixed(handle, examples, startsOf(batches, batch, count), handles);
    pace.measured(count, (performance.now() - began) / 1000);
    const width = logits.length / examples.length;
    for (const [i, example] of examples.entries()) {
      rows[example] = logits.subarray(i * width, i * width + classes[example]!);
      if (slice.isOver) await slice.next();
    }
    batch += count;
  }
  return rows;
}

/**
 * Logits of examples that make one batch, in one call of the addon. It cannot be stopped on the way.
 *
 * @returns (N, NC), in the order of the dataset
 * @throws BertuneError OUT_OF_MEMORY
 */
export async function predictBatch(native: NativeSession, dataset: NativeDataset, batch: BatchPlan): Promise<Values> {
  const { order, starts } = batch;
  const rows = await native.predict(dataset, order, starts);
  if (order.length === 1) return rows;
  const logits = rows.slice();
  await scatterRows(rows, order, rows.length / order.length, logits);
  return logits;
}

/** Plans memory for the largest of the batches, which need not be among those of the first call. */
async function planMemory(native: NativeSession, { tokens, sequences }: BatchPlan): Promise<void> {
  if (sequences > 0) await native.reserve({ tokens, sequences, training: false });
}

/** Where the `count` batches from the `first` on start, in an order that begins with them. */
function startsOf({ starts }: BatchPlan, first: number, count: number): Int32Array {
  return starts.slice(first, first + count + 1).map((start) => start - starts[first]!);
}

/** all[examples[i]] = rows[i] */
async function scatterRows(rows: Values, examples: Int32Array, classes: number, all: Values): Promise<void> {
  const slice = new TimeSlice();
  for (let i = 0; i < examples.length; i++) {
    all.set(rows.subarray(i * classes, (i + 1) * classes), examples[i]! * classes);
    if (slice.isOver) await slice.next();
  }
}

/** The model that adapters stand beside. */
interface MixedBase {
  plan: MethodPlan;
  /** Names of its own classes. */
  labels: readonly string[];
}

/**
 * Logits of texts that are already token ids, each by its own adapter. A batch mixes LoRA adapters and the model itself;
 * texts behind a prefix make batches of their own.
 *
 * @param native the session that the adapters are in
 * @param adapters of each text or window (N), held; null: the model as it was loaded
 * @param batchTokens tokens per batch
 * @returns a row per text or window (N), as long as its adapter has classes, and how many batches they made
 * @throws BertuneError ABORTED, OUT_OF_MEMORY
 */
export async function forwardMixed(
  native: NativeSession,
  { plan, labels }: MixedBase,
  adapters: readonly (NamedAdapter | null)[],
  encoded: EncodedTexts,
  batchTokens: number,
  signal: AbortSignal | undefined,
): Promise<{ rows: Values[]; batches: number }> {
  throwIfAborted(signal);
  const handles = Int32Array.from(adapters, (adapter) => adapter?.handle ?? 0);
  const classes = Int32Array.from(adapters, (adapter) => (adapter?.labels ?? labels).length);
  const groups = prefixGroups(adapters, plan);
  // Texts of one adapter stand together, those of one prefix before all.
  const most = handles.reduce((a, b) => Math.max(a, b), 0) + 1;
  const keys = Int32Array.from(handles, (handle, i) => (groups[i] === 0 ? handle : most + groups[i]!));
  const order = groupedLongestFirst(encoded.offsets, keys);
  const batches = packBatches(encoded.offsets, order, batchTokens, groups);
  const rows = await withDatasetOn(native, datasetOf(encoded), (handle) =>
    forwardMixedBatches(native, handle, batches, handles, classes, signal),
  );
  return { rows, batches: batches.starts.length - 1 };
}

/** Which texts a batch may hold together: a number for each prefix that stands in front of them, 0 for none. */
function prefixGroups(adapters: readonly (NamedAdapter | null)[], { prefix }: MethodPlan): Int32Array {
  return Int32Array.from(adapters, (adapter) => {
    if (adapter === null) return prefix ? 1 : 0;
    return adapter.virtualTokens > 0 ? 1 + adapter.handle : 0;
  });
}
