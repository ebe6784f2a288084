import type { MethodPlan } from '../methods/index.js';
import type { NativeSession } from '../native/index.js';
import { throwIfAborted } from '../time-slice.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import type { NamedAdapter } from './adapters.js';
import { groupedLongestFirst, packBatches } from './batches.js';
import { forwardMixedBatches } from './forward.js';
import { datasetOf, type Values, withDatasetOn } from './session.js';

/** The model that adapters stand beside. */
export interface MixedBase {
  plan: MethodPlan;
  /** Names of its own classes. */
  labels: readonly string[];
}

/**
 * Logits of texts that are already token ids, each by its own adapter. A batch mixes LoRA adapters and the model itself;
 * texts behind a prefix make batches of their own.
 *
 * @param native the session that the adapters are in
 * @param adapters of each text (N), held; null: the model as it was loaded
 * @param batchTokens tokens a batch
 * @returns a row a text (N), as long as its adapter has classes
 * @throws BertuneError ABORTED, OUT_OF_MEMORY
 */
export async function forwardMixed(
  native: NativeSession,
  { plan, labels }: MixedBase,
  adapters: readonly (NamedAdapter | null)[],
  encoded: EncodedTexts,
  batchTokens: number,
  signal: AbortSignal | undefined,
): Promise<Values[]> {
  throwIfAborted(signal);
  const handles = Int32Array.from(adapters, (adapter) => adapter?.handle ?? 0);
  const classes = Int32Array.from(adapters, (adapter) => (adapter?.labels ?? labels).length);
  const groups = prefixGroups(adapters, plan);
  // Texts of one adapter stand together, those of one prefix before all.
  const most = handles.reduce((a, b) => Math.max(a, b), 0) + 1;
  const keys = Int32Array.from(handles, (handle, i) => (groups[i] === 0 ? handle : most + groups[i]!));
  const order = groupedLongestFirst(encoded.offsets, keys);
  const batches = packBatches(encoded.offsets, order, batchTokens, groups);
  return withDatasetOn(native, datasetOf(encoded), (handle) =>
    forwardMixedBatches(native, handle, batches, handles, classes, signal),
  );
}

/** Which texts a batch may hold together: a number for each prefix that stands in front of them, 0 for none. */
function prefixGroups(adapters: readonly (NamedAdapter | null)[], { prefix }: MethodPlan): Int32Array {
  return Int32Array.from(adapters, (adapter) => {
    if (adapter === null) return prefix ? 1 : 0;
    return adapter.virtualTokens > 0 ? 1 + adapter.handle : 0;
  });
}
