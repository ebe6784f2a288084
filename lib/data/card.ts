import { CORE_SCHEMA, loadAll, mergeTag } from 'js-yaml';
import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';

/** A configuration of a data set: which files make its splits. */
export interface CardConfig {
  readonly name: string;
  /** Whether it is the one to take where none is asked for. */
  readonly isDefault: boolean;
  /** Folder that the patterns are relative to; '' for the root. */
  readonly directory: string;
  /** Patterns of each split's files, by the split's name as the card writes it; none: the usual names. */
  readonly files: readonly { readonly split: string; readonly patterns: readonly string[] }[];
}

/** What a data set's card (README.md) says in its front matter, as far as it is used here. */
export interface Card {
  readonly configs: readonly CardConfig[];
  /** Names of the classes by column, of each configuration; `config` null where the card names none. */
  readonly classNames: readonly {
    readonly config: string | null;
    readonly columns: Readonly<Record<string, readonly string[]>>;
  }[];
}

/** The longest front matter, in characters: enough for tens of thousands of classes. */
const MOST_CHARACTERS = 2 ** 20;

/** What YAML says once and means often (`*name`) may come to, in characters, however the aliases multiply. */
const MOST_WRITTEN_OUT = 4 * MOST_CHARACTERS;

/** As YAML is read for `datasets`: keys that occur twice are refused, `<<` merges. Time is in proportion to the text. */
const YAML = { schema: CORE_SCHEMA.withTags(mergeTag), maxDepth: 100, maxAliases: 1000 };

/** The name of a configuration where the card gives none. */
const UNNAMED = 'default';

/**
 * Reads the front matter of a data set's card: `configs` and the classes of `dataset_info`.
 *
 * @param text the whole of README.md; without a front matter the card says nothing
 * @param source the file, for messages. Defaults to README.md
 * @throws BertuneError INVALID_DATA for a front matter that is not YAML, of more than a million characters, nested deeper
 *   than 100, or with more than 1,000 aliases
 */
export function readCard(text: string, source = 'README.md'): Card {
  const values = frontMatterOf(text, source);
  return {
    configs: asList(values.configs).map((config) => readConfig(asObject(config))),
    classNames: asList(values.dataset_info).map((info) => {
      const { config_name, features } = asObject(info);
      return { config: typeof config_name === 'string' ? config_name : null, columns: readFeatures(features) };
    }),
  };
}

/** The front matter of a README.md; empty where there is none. Errors as readCard. */
export function frontMatterOf(text: string, source = 'README.md'): Record<string, unknown> {
  const matter = /^\ufeff?---[ \t]*\r?\n([\s\S]*?)\r?\n---[ \t]*(?:\r?\n|$)/.exec(text)?.[1];
  return matter === undefined ? {} : asObject(parseYaml(matter, source));
}

/**
 * The configuration to use.
 *
 * @param config the wish; undefined: the one that is marked, or called `default`, or the only one
 * @returns null where the card has no configurations and none is asked for
 * @throws BertuneError NOT_FOUND when there is no such one, INVALID_OPTION when there are several and none is the default;
 *   both list them
 */
export function chooseConfig(card: Card | null, config?: string): CardConfig | null {
  const configs = card?.configs ?? [];
  const listed = configs.map(({ name }) => name).join(', ');
  if (config !== undefined) {
    const found = configs.find(({ name }) => name === config);
    if (found !== undefined) return found;
    const there = configs.length === 0 ? 'the data set has no configurations' : `there are ${listed}`;
    throw new BertuneError('NOT_FOUND', `Expected a configuration ${config} but ${there}`);
  }
  const chosen =
    configs.find(({ isDefault }) => isDefault) ??
    configs.find(({ name }) => name === UNNAMED) ??
    (configs.length === 1 ? configs[0] : undefined);
  if (chosen !== undefined || configs.length === 0) return chosen ?? null;
  throw new BertuneError(
    'INVALID_OPTION',
    `Choose one of the data set's configurations with ${option('config')}: ${listed}`,
  );
}

/** The classes that a card names for a column in a configuration; undefined where it names none. */
export function cardClassNames(
  card: Card | null,
  config: string | null,
  column: string,
): readonly string[] | undefined {
  const infos = card?.classNames ?? [];
  const info =
    infos.find((each) => config !== null && each.config === config) ?? infos.find((each) => each.config === null);
  return (info ?? (config === null && infos.length === 1 ? infos[0] : undefined))?.columns[column];
}

function parseYaml(matter: string, source: string): unknown {
  if (matter.length > MOST_CHARACTERS) {
    throw new BertuneError(
      'INVALID_DATA',
      `Expected at most ${MOST_CHARACTERS} characters of front matter in ${source} but found ${matter.length}`,
    );
  }
  try {
    const [values, ...others] = loadAll(matter, YAML);
    if (others.length > 0) throw new Error('it holds several documents');
    if (writtenOut(values) > MOST_WRITTEN_OUT) throw new Error('its aliases multiply');
    return values;
  } catch (cause) {
    const [line] = (cause as Error).message.split('\n');
    throw new BertuneError('INVALID_DATA', `Expected YAML in the front matter of ${source}: ${line}`, { cause });
  }
}

/** Characters and members of a value with every alias written out; infinite where it holds itself. */
function writtenOut(value: unknown, sizes = new Map<unknown, number>()): number {
  if (typeof value === 'string') return value.length + 1;
  if (typeof value !== 'object' || value === null) return 1;
  const known = sizes.get(value);
  if (known !== undefined) return known;
  sizes.set(value, Number.POSITIVE_INFINITY);
  let size = 1;
  for (const item of Object.values(value)) size += writtenOut(item, sizes);
  sizes.set(value, size);
  return size;
}

function readConfig(config: Record<string, unknown>): CardConfig {
  const { config_name, data_dir, data_files } = config;
  return {
    name: typeof config_name === 'string' ? config_name : UNNAMED,
    isDefault: config.default === true,
    directory: typeof data_dir === 'string' ? data_dir.replace(/^\.?\/+|\/+$/g, '').replace(/^\.$/, '') : '',
    files: readDataFiles(data_files),
  };
}

/** `data_files`: a pattern or several (of the training split), or splits with theirs. */
function readDataFiles(value: unknown): CardConfig['files'] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).map(([split, path]) => ({ split, patterns: strings(path) }));
  }
  const items = asList(value);
  const plain = items.flatMap(strings);
  const files = items.flatMap((item) => {
    const { split, path } = asObject(item);
    return typeof split === 'string' ? [{ split, patterns: strings(path) }] : [];
  });
  return plain.length > 0 ? [{ split: 'train', patterns: plain }, ...files] : files;
}

/** The classes of each column that has any: `dtype`, or of lists `sequence` or `list`: `{class_label: {names: ...}}`. */
function readFeatures(features: unknown): Record<string, readonly string[]> {
  const columns: Record<string, readonly string[]> = Object.create(null);
  for (const feature of asList(features)) {
    const { name, dtype, sequence, list } = asObject(feature);
    const names = [dtype, sequence, list]
      .map((type) => classNames(asObject(asObject(type).class_label).names))
      .find((each) => each !== undefined);
    if (typeof name === 'string' && names !== undefined) columns[name] = names;
  }
  return columns;
}

/**
 * Names of classes as Hugging Face writes them: a list, or a map of their indices.
 *
 * @returns undefined where they are no list of distinct names
 */
export function classNames(value: unknown): readonly string[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const names: unknown[] = Array.isArray(value)
    ? value
    : Object.entries(value)
        .sort(([a], [b]) => Number(a) - Number(b))
        .map(([, name]) => name);
  // YAML reads a class called 0 as a number.
  const written = names.map((name) => (typeof name === 'number' || typeof name === 'boolean' ? String(name) : name));
  const usable =
    written.every((name) => typeof name === 'string' && name !== '') && new Set(written).size === written.length;
  return usable && written.length > 0 ? (written as string[]) : undefined;
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function asList(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function strings(value: unknown): string[] {
  return asList(value).filter((item): item is string => typeof item === 'string');
}
