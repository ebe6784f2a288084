import type { Values } from '../../native/index.js';
import { TimeSlice } from '../../time-slice.js';

/** Features of texts, each dimension scaled over all of them to mean 0 and variance 1, as scikit-learn's StandardScaler does. */
export interface Features {
  /** Scaled (N, C), row-major. */
  values: Values;
  /** N */
  count: number;
  /** C */
  size: number;
  /** What was taken off each dimension (C). */
  mean: Float64Array;
  /** What each was divided by (C): 1 where all texts have the same. */
  scale: Float64Array;
}

/**
 * Scales features in place.
 *
 * @param values (N, C)
 * @param size C
 * @throws BertuneError ABORTED
 */
export async function standardize(values: Values, size: number, signal?: AbortSignal): Promise<Features> {
  const count = values.length / size;
  const slice = new TimeSlice(signal);
  const mean = new Float64Array(size);
  const scale = new Float64Array(size);
  const eachRow = async (work: (row: Values) => void) => {
    for (let i = 0; i < count; i++) {
      work(values.subarray(i * size, (i + 1) * size));
      if (slice.isOver) await slice.next();
    }
  };
  await eachRow((row) => {
    for (let c = 0; c < size; c++) mean[c]! += row[c]! / count;
  });
  await eachRow((row) => {
    for (let c = 0; c < size; c++) scale[c]! += (row[c]! - mean[c]!) ** 2 / count;
  });
  // What rounding leaves of a dimension that does not vary is no variance.
  for (let c = 0; c < size; c++) {
    const deviation = Math.sqrt(scale[c]!);
    scale[c] = deviation > 1e-6 * Math.abs(mean[c]!) ? deviation : 1;
  }
  await eachRow((row) => {
    for (let c = 0; c < size; c++) row[c] = (row[c]! - mean[c]!) / scale[c]!;
  });
  return { values, count, size, mean, scale };
}
