import { BertuneError } from '../errors.js';
import type { Slices } from '../time-slice.js';
import { classFindings, oneClass } from './quality/classes.js';
import type { Finding } from './quality/finding.js';
import { textFindings } from './quality/texts.js';
import type { TextDataset } from './types.js';

export { type Finding, type FindingKind, withoutQuotes } from './quality/finding.js';

/**
 * What is worth a second look in a data set before it is trained on: classes that are alone, alike, rare or unbalanced,
 * labels and texts that look missing, texts that occur twice.
 */
export function* findingsOf(data: TextDataset): Slices<Finding[]> {
  return [...classFindings(data), ...(yield* textFindings(data))];
}

/** @throws BertuneError INVALID_DATA where all training rows have the same label */
export function expectClasses(data: TextDataset): void {
  const only = oneClass(data);
  if (only !== undefined) throw new BertuneError('INVALID_DATA', only.text);
}
