import type { BertuneError } from '../../errors.js';
import { isObject } from '../../files/json.js';
import { genericLabels, listLabels } from '../../tasks/labels.js';

/** What a config.json says of the classes' names. */
export interface ConfigLabels {
  /** In the order of the classifier's rows; null where the file names none. */
  labels: string[] | null;
  /** What is odd about them, in sentences. */
  notes: string[];
}

/** Far above any model: lists of this length are made before the weights are seen. */
const MAX_LABELS = 1_000_000;

const GENERIC = /^LABEL_\d+$/;

/**
 * The names of the classes in config.json, as transformers reads them: `id2label` counts, and has as many classes as
 * entries; label2id is looked at only where there is no id2label; without both, num_labels classes get generic names.
 *
 * @param invalid the error for a key whose value cannot be used
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function readConfigLabels(
  raw: Record<string, unknown>,
  invalid: (key: string, expected: string) => BertuneError,
): ConfigLabels {
  if ((raw.id2label ?? null) !== null) return readId2label(raw, invalid);
  const named = invert(raw.label2id);
  if (named !== null) {
    const notes = named.every((name) => GENERIC.test(name))
      ? []
      : [`config.json has no id2label; the names of the classes are those of label2id: ${listLabels(named)}.`];
    return { labels: named, notes };
  }
  const count = raw.num_labels ?? null;
  if (count === null) return { labels: null, notes: [] };
  if (!Number.isInteger(count) || (count as number) < 1 || (count as number) > MAX_LABELS) {
    throw invalid('num_labels', `an integer from 1 to ${MAX_LABELS}`);
  }
  return { labels: genericLabels(count as number), notes: [] };
}

function readId2label(
  raw: Record<string, unknown>,
  invalid: (key: string, expected: string) => BertuneError,
): ConfigLabels {
  const entries = isObject(raw.id2label) ? Object.entries(raw.id2label) : [];
  const names = new Map<number, string>();
  for (const [id, name] of entries) if (/^\d+$/.test(id) && typeof name === 'string') names.set(Number(id), name);
  if (entries.length === 0 || names.size !== entries.length) {
    throw invalid('id2label', 'names for the classes "0", "1", …');
  }
  const labels = genericLabels(names.size).map((generic, row) => names.get(row) ?? generic);
  if (new Set(labels).size !== labels.length) throw invalid('id2label', 'distinct names');
  const unnamed = labels.filter((_, row) => !names.has(row));
  const beyond = [...names].filter(([id]) => id >= names.size).map(([id, name]) => `${JSON.stringify(name)} (${id})`);
  return {
    labels,
    notes: [
      ...(unnamed.length === 0
        ? []
        : [
            `id2label in config.json names ${beyond.length === 1 ? 'a class' : 'classes'} that the classifier does not have: ` +
              `${listLabels(beyond)}. It has the rows 0 to ${labels.length - 1}, which are ${listLabels(labels)}; correct ` +
              'id2label where that is wrong.',
          ]),
      ...disagreement(labels, raw.label2id),
    ],
  };
}

/** A note where label2id gives a name another row than id2label. */
function disagreement(labels: readonly string[], label2id: unknown): string[] {
  const others = isObject(label2id) ? Object.entries(label2id) : [];
  if (others.every(([name]) => GENERIC.test(name))) return [];
  const odd = others.filter(([name, id]) => labels[Number(id)] !== name).map(([name]) => name);
  if (odd.length === 0) return [];
  return [`id2label and label2id in config.json disagree on ${listLabels(odd)}; id2label is used, as in transformers.`];
}

/** The names in label2id by row; null unless they number the rows 0, 1, … */
function invert(label2id: unknown): string[] | null {
  const entries = isObject(label2id) ? Object.entries(label2id) : [];
  const names: string[] = [];
  for (const [name, id] of entries)
    if (Number.isInteger(id) && Number(id) >= 0 && Number(id) < entries.length) names[Number(id)] = name;
  return entries.length > 0 && Object.keys(names).length === entries.length ? names : null;
}
