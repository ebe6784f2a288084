import { BertuneError } from '../../errors.js';
import { isTemperature, isThresholds } from '../../formats/checkpoint/config.js';
import { isLongTexts, LONG_TEXTS_FORM, type LongTexts } from '../../options/long-texts.js';
import { expectNames, invalidOption } from '../../options/validation.js';
import { TASK_KINDS, type TaskKind } from '../../tasks/index.js';
import { type AdapterCommon, BASE_KINDS, type BaseKind } from './types.js';

/** What an adapter's file says in its metadata, which PEFT passes over. */
type AdapterFacts = Pick<
  AdapterCommon,
  'labels' | 'pairs' | 'task' | 'thresholds' | 'temperature' | 'longTexts' | 'baseKind'
>;

/** Metadata key under which the names of the classes are kept. */
const LABELS_KEY = 'bertune.labels';

/** Metadata key that says `true` of an adapter that was trained on pairs of texts, `false` of one of single texts. */
const PAIRS_KEY = 'bertune.pairs';

/** Metadata keys of an adapter's task, by its name in options, and of its thresholds, its temperature and its long texts as JSON. */
const TASK_KEY = 'bertune.task';
const THRESHOLDS_KEY = 'bertune.thresholds';
const TEMPERATURE_KEY = 'bertune.temperature';
const LONG_TEXTS_KEY = 'bertune.long_texts';

/** Metadata key of the kind of its base. */
const BASE_KEY = 'bertune.base';

/**
 * What an adapter's metadata say; null for what they do not.
 *
 * @param classes the number of classes, or null where there is no classifier
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function readMetadata(
  metadata: Readonly<Record<string, string>>,
  classes: number | null,
  where: string,
): Required<AdapterFacts> {
  return {
    labels: readLabels(metadata, classes, where),
    pairs: readPairs(metadata, where),
    ...readTask(metadata, where),
    longTexts: readLongTexts(metadata, where),
    baseKind: readBaseKind(metadata),
  };
}

/**
 * The metadata of an adapter's file.
 *
 * @param classes the number of classes that the head has
 * @throws BertuneError INVALID_OPTION where there is no head, without which PEFT does not load an adapter, or where the
 *   labels are not one distinct name a class
 */
export function adapterMetadata(
  { labels, pairs, task, thresholds, temperature, longTexts, baseKind }: AdapterFacts,
  classes: number | null,
): Record<string, string> {
  if (classes === null) {
    throw new BertuneError(
      'INVALID_OPTION',
      'Expected the weight and the bias of the classifier in tensors, frozen or not',
    );
  }
  if (labels && expectNames('labels', labels).length !== classes) {
    throw invalidOption('labels', `${classes} names, one a class of classifier.weight,`, labels);
  }
  return {
    format: 'pt',
    ...(typeof pairs === 'boolean' && { [PAIRS_KEY]: String(pairs) }),
    ...(task && { [TASK_KEY]: task }),
    ...(thresholds && { [THRESHOLDS_KEY]: JSON.stringify(thresholds) }),
    ...(typeof temperature === 'number' && { [TEMPERATURE_KEY]: JSON.stringify(temperature) }),
    ...(longTexts && { [LONG_TEXTS_KEY]: JSON.stringify(longTexts) }),
    ...(labels && { [LABELS_KEY]: JSON.stringify(labels) }),
    ...(baseKind && { [BASE_KEY]: baseKind }),
  };
}

/**
 * The names of the classes from an adapter's metadata, or null where it has none. Without a classifier of its own the
 * classes are those of the base, and so are their names.
 *
 * @param classes the number of classes, or null where there is no classifier
 * @throws BertuneError CHECKPOINT_INVALID where they are not one distinct name a class
 */
function readLabels(
  metadata: Readonly<Record<string, string>>,
  classes: number | null,
  where: string,
): string[] | null {
  if (classes === null || !Object.hasOwn(metadata, LABELS_KEY)) return null;
  const labels = parsed(metadata[LABELS_KEY]!);
  const sound =
    Array.isArray(labels) &&
    labels.every((label) => typeof label === 'string') &&
    new Set(labels).size === labels.length &&
    labels.length === classes;
  if (!sound) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${classes} distinct names in the metadata ${LABELS_KEY} of ${where} but found ` +
        `${metadata[LABELS_KEY]!.slice(0, 200)}`,
    );
  }
  return labels as string[];
}

/**
 * Whether an adapter was trained on pairs of texts, from its metadata; null where they do not say.
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
function readPairs(metadata: Readonly<Record<string, string>>, where: string): boolean | null {
  if (!Object.hasOwn(metadata, PAIRS_KEY)) return null;
  const value = metadata[PAIRS_KEY]!;
  if (value === 'true' || value === 'false') return value === 'true';
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected true or false in the metadata ${PAIRS_KEY} of ${where} but found ${value.slice(0, 200)}`,
  );
}

/**
 * What an adapter's metadata say of its task; null where they do not.
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
function readTask(
  metadata: Readonly<Record<string, string>>,
  where: string,
): Required<Pick<AdapterFacts, 'task' | 'thresholds' | 'temperature'>> {
  const task = Object.hasOwn(metadata, TASK_KEY) ? metadata[TASK_KEY]! : null;
  const thresholds = Object.hasOwn(metadata, THRESHOLDS_KEY) ? parsed(metadata[THRESHOLDS_KEY]!) : null;
  const temperature = Object.hasOwn(metadata, TEMPERATURE_KEY) ? parsed(metadata[TEMPERATURE_KEY]!) : null;
  const isTask = (value: string): value is TaskKind => (TASK_KINDS as readonly string[]).includes(value);
  if (task !== null && !isTask(task)) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${TASK_KINDS.join(', ')} in the metadata ${TASK_KEY} of ${where} but found ${task.slice(0, 200)}`,
    );
  }
  if (thresholds !== null && !isThresholds(thresholds)) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected numbers from 0 to 1 by label in the metadata ${THRESHOLDS_KEY} of ${where}`,
    );
  }
  if (temperature !== null && !isTemperature(temperature)) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected a positive number in the metadata ${TEMPERATURE_KEY} of ${where} but found ${metadata[TEMPERATURE_KEY]!.slice(0, 200)}`,
    );
  }
  return { task, thresholds, temperature };
}

/** @throws BertuneError CHECKPOINT_INVALID */
function readLongTexts(metadata: Readonly<Record<string, string>>, where: string): LongTexts | null {
  const longTexts = Object.hasOwn(metadata, LONG_TEXTS_KEY) ? parsed(metadata[LONG_TEXTS_KEY]!) : null;
  if (longTexts === null || isLongTexts(longTexts)) return longTexts;
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected ${LONG_TEXTS_FORM} in the metadata ${LONG_TEXTS_KEY} of ${where} but found ${metadata[LONG_TEXTS_KEY]!.slice(0, 200)}`,
  );
}

/** The kind of base; null where the metadata say nothing, as in PEFT's files. */
function readBaseKind(metadata: Readonly<Record<string, string>>): BaseKind | null {
  const kind = Object.hasOwn(metadata, BASE_KEY) ? metadata[BASE_KEY] : undefined;
  return (BASE_KINDS as readonly unknown[]).includes(kind) ? (kind as BaseKind) : null;
}

/** @returns undefined for what is no JSON */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
