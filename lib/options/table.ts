import { BertuneError } from '../errors.js';
import { option } from './names.js';
import {
  copyArray,
  expectBoolean,
  expectNames,
  expectNonNegativeInteger,
  expectNumberInRange,
  expectObject,
  expectOneOf,
  expectPath,
  expectPositiveInteger,
  expectSeed,
  invalidOption,
  isArray,
  type NumberRange,
  show,
} from './validation.js';

/*
 * Options as the rows of a table. One row gives the check of what a caller passes, the default, the flag with its help,
 * and the types; its docstring is the option's own, which TypeScript and typedoc show wherever the types are used.
 */

/** What every row says, whatever the kind of its values. */
export interface RowWords {
  /** The help of the flag, without the default. */
  readonly words: string;
  /** The default as the help gives it, for one that is no value; null: the help does not give it. */
  readonly byDefault?: string | null;
  /** The flag; null: there is none. Defaults to the option's name, `--batch-size` for `batchSize`. */
  readonly flag?: string | null;
  /** The heading of the flag in the help. Defaults to 'Training'. */
  readonly group?: string;
  /** An option that says the same in another way. At most one of the two may be set. */
  readonly insteadOf?: string;
  /**
   * Options without which this one would do nothing, one of them at least: by the value that they must have; true: any at all.
   * Defaults to none.
   */
  readonly onlyWith?: Readonly<Record<string, string | true>>;
}

/**
 * One option.
 *
 * @typeParam Given what a caller passes
 * @typeParam Setting what it comes to; null where it is left out and has no default
 */
export interface OptionRow<Given, Setting = Given> extends RowWords {
  /** Undefined: whoever resolves the table fills it in first. */
  readonly default: Setting | undefined;
  /** What the flag's value is called in the help, e.g. `<n>`; null: the flag takes none. */
  readonly placeholder: string | null;
  /** Every value that a flag takes, if they can be listed. */
  readonly choices?: readonly string[];
  /**
   * @param context what the check depends on beside the value, as passed to `expectTable`
   * @throws BertuneError INVALID_OPTION
   */
  expect(name: string, value: unknown, context: unknown): Setting;
  /**
   * Reads the flag's value.
   *
   * @throws BertuneError INVALID_OPTION naming the flag
   */
  read(flag: string, text: string): Given;
}

/** Options by name. */
export type OptionTable = Readonly<Record<string, OptionRow<unknown, unknown>>>;

/** What a caller passes. */
export type OptionsOf<Table> = {
  [Name in keyof Table]?: (Table[Name] extends OptionRow<infer Given, infer _> ? Given : never) | undefined;
};

/** What it comes to. */
export type SettingsOf<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends OptionRow<infer _, infer Setting> ? Setting : never;
};

/** A row's words and default; `Default` is null where a setting may be open. */
type Row<Default> = RowWords & { readonly default?: Default };

function row<Value, Default>(
  { default: usual, ...words }: Row<Default>,
  kind: Pick<OptionRow<Value>, 'placeholder' | 'choices' | 'expect' | 'read'>,
): OptionRow<Value, Value | Extract<Default, null>> {
  return { ...words, ...kind, default: usual as Value | Extract<Default, null> | undefined };
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** @throws BertuneError INVALID_OPTION unless `text` is a decimal number */
export function readNumber(flag: string, expected: string, text: string): number {
  if (!DECIMAL.test(text)) throw invalidOption(flag, expected, text);
  return Number(text);
}

/** @throws BertuneError INVALID_OPTION unless `text` is names with commas between them */
export function readNames(flag: string, text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.some((part) => part === '')) throw invalidOption(flag, 'names with commas between them', text);
  return parts;
}

/** A row of numbers: the flag is checked as the option is. */
function numeric<Default>(
  words: Row<Default>,
  placeholder: string,
  expected: string,
  expect: (name: string, value: unknown) => number,
) {
  return row<number, Default>(words, {
    placeholder,
    expect,
    read: (flag, text) => expect(flag, readNumber(flag, expected, text)),
  });
}

/** An integer from 1 to `most`, which defaults to the greatest that a double holds exactly. */
export function positiveInteger<Default extends number | null = number>(words: Row<Default> & { most?: number }) {
  const { most, ...others } = words;
  return numeric(others as Row<Default>, '<n>', 'a positive integer', (name, value) =>
    expectPositiveInteger(name, value, most),
  );
}

/** An integer of at least 0. */
export function nonNegativeInteger<Default extends number | null = number>(words: Row<Default>) {
  return numeric(words, '<n>', 'a non-negative integer', expectNonNegativeInteger);
}

/** An integer from 0 to 2^32 − 1. */
export function seed<Default extends number | null = number>(words: Row<Default>) {
  return numeric(words, '<n>', 'a non-negative integer', expectSeed);
}

/** A number inside a range. */
export function number<Default extends number | null = number>(range: NumberRange, words: Row<Default>) {
  return numeric(words, '<x>', 'a number', (name, value) => expectNumberInRange(name, value, range));
}

/** A probability below 1. */
export function probability<Default extends number | null = number>(words: Row<Default>) {
  const below = { min: 0, max: 1, maxExclusive: true };
  return numeric(words, '<p>', 'a number', (name, value) => expectNumberInRange(name, value, below));
}

/** One of several words. */
export function oneOf<const Choice extends string>(choices: readonly Choice[], words: Row<NoInfer<Choice>>) {
  const expect = (name: string, value: unknown) => expectOneOf(name, value, choices);
  return row<Choice, Choice>(words, { placeholder: '<name>', choices, expect, read: expect });
}

/** A positive integer, or a word. A flag takes all of the words but `own`. */
export function positiveIntegerOr<const Word extends string>(
  choices: readonly Word[],
  words: Row<number | NoInfer<Word>>,
  own: readonly Word[] = [],
) {
  const isWord = (value: unknown): value is Word => choices.includes(value as Word);
  const expected = [...choices.filter((word) => !own.includes(word)), 'a positive integer'].join(' or ');
  return row<number | Word, number | Word>(words, {
    placeholder: '<n>',
    expect: (name, value) => (isWord(value) ? value : expectPositiveInteger(name, value)),
    read: (flag, text) =>
      isWord(text) && !own.includes(text) ? text : expectPositiveInteger(flag, readNumber(flag, expected, text)),
  });
}

/** A number inside a range, or a word. */
export function numberOr<const Word extends string>(
  choices: readonly Word[],
  range: NumberRange,
  words: Row<number | NoInfer<Word>>,
) {
  const isWord = (value: unknown): value is Word => choices.includes(value as Word);
  return row<number | Word, number | Word>(words, {
    placeholder: '<x>',
    expect: (name, value) => (isWord(value) ? value : expectNumberInRange(name, value, range)),
    read: (flag, text) =>
      isWord(text)
        ? text
        : expectNumberInRange(flag, readNumber(flag, `${choices.join(' or ')} or a number`, text), range),
  });
}

/** True or false. The flag takes no value: it stands for the opposite of the default, which makes it a `--no-` flag. */
export function flag(words: Row<boolean>) {
  return row<boolean, boolean>(words, { placeholder: null, expect: expectBoolean, read: () => !words.default });
}

/** Distinct names; none of them where the default is none. */
export function names<Default extends readonly string[] | null = readonly string[]>(words: Row<Default>) {
  const mayBeNone = words.default?.length === 0;
  return row<readonly string[], Default>(words, {
    placeholder: '<names>',
    expect: (name, value) => (mayBeNone && isArray(value) && value.length === 0 ? [] : expectNames(name, value)),
    read: readNames,
  });
}

/** Distinct integers of at least 0, one at least. */
export function nonNegativeIntegers<Default extends readonly number[] | null = readonly number[]>(words: Row<Default>) {
  const expect = (name: string, value: unknown) => {
    const isIndex = (item: unknown): item is number => Number.isSafeInteger(item) && (item as number) >= 0;
    const { items, odd } = isArray(value) ? copyArray(value, isIndex) : { items: [], odd: 0 };
    if (odd < 0 && items.length > 0 && new Set(items).size === items.length) return items;
    throw invalidOption(name, 'an array of distinct non-negative integers', value);
  };
  return row<readonly number[], Default>(words, {
    placeholder: '<list>',
    expect,
    read: (flag, text) =>
      readNames(flag, text).map((part) =>
        expectNonNegativeInteger(flag, readNumber(flag, 'non-negative integers with commas between them', part)),
      ),
  });
}

/** Numbers by regular expressions of names; none by default. */
export function numbersByPattern(expectNumber: (name: string, value: unknown) => number, words: RowWords) {
  const expected = 'numbers by regular expressions of module names';
  const isExpression = (text: string) => {
    try {
      return new RegExp(text, 'u') !== undefined && text !== '';
    } catch {
      return false;
    }
  };
  const expect = (name: string, value: unknown) => {
    expectObject(name, value as object, Object.keys(Object(value)));
    const given = Object.entries(value as object);
    if (!given.every(([key]) => isExpression(key))) throw invalidOption(name, expected, value);
    return Object.fromEntries(given.map(([key, item]) => [key, expectNumber(`${name}[${JSON.stringify(key)}]`, item)]));
  };
  const none: Readonly<Record<string, number>> = Object.freeze({});
  return row<Readonly<Record<string, number>>, Readonly<Record<string, number>>>(
    { ...words, byDefault: 'none', default: none },
    {
      placeholder: '<list>',
      expect,
      read: (flag, text) =>
        Object.fromEntries(
          readNames(flag, text).map((part) => {
            const end = part.lastIndexOf('=');
            const wanted = 'NAME=NUMBER with commas between them';
            if (end < 1) throw invalidOption(flag, wanted, text);
            return [part.slice(0, end), expectNumber(flag, readNumber(flag, wanted, part.slice(end + 1)))];
          }),
        ),
    },
  );
}

/** A path of a file or directory. */
export function path<Default extends string | null = string>(words: Row<Default>) {
  return row<string, Default>(words, { placeholder: '<dir>', expect: expectPath, read: expectPath });
}

/**
 * Checks options by their table, and fills in defaults.
 *
 * @param name what the object is called in messages, e.g. `options`
 * @param context passed on to the checks of the rows
 * @returns a setting per row, in the order of the table
 * @throws BertuneError INVALID_OPTION
 */
export function expectTable<Table extends OptionTable>(
  name: string,
  given: OptionsOf<Table>,
  table: Table,
  context?: unknown,
): SettingsOf<Table> {
  const options: Record<string, unknown> = expectObject(name, given, Object.keys(table));
  expectOneOfEach(options, table);
  const settings = Object.fromEntries(
    Object.entries(table).map(([key, row]) => {
      const value = options[key];
      return [key, value === undefined ? row.default : row.expect(key, value, context)];
    }),
  );
  for (const [key, { onlyWith }] of Object.entries(table)) {
    if (options[key] !== undefined && !applies(onlyWith, (other) => [settings[other]]))
      throw doesNothing(key, onlyWith);
  }
  return settings as SettingsOf<Table>;
}

/**
 * Whether an option does anything beside the others.
 *
 * @param onlyWith of its row
 * @param valuesOf the values that another option takes
 */
export function applies(onlyWith: RowWords['onlyWith'], valuesOf: (other: string) => readonly unknown[]): boolean {
  if (onlyWith === undefined) return true;
  return Object.entries(onlyWith).some(([other, wanted]) =>
    valuesOf(other).some((value) => (wanted === true ? Boolean(value) : value === wanted)),
  );
}

/** The refusal of an option that would do nothing. */
export function doesNothing(name: string, onlyWith: RowWords['onlyWith']): BertuneError {
  const others = Object.entries(onlyWith ?? {}).map(([other, wanted]) =>
    wanted === true ? option(other) : option(other, wanted),
  );
  return new BertuneError('INVALID_OPTION', `${option(name)} only applies with ${others.join(' or ')}; leave it out`);
}

/** @throws BertuneError INVALID_OPTION if two options are set that say the same */
export function expectOneOfEach(options: Readonly<Record<string, unknown>>, table: OptionTable): void {
  for (const [name, { insteadOf }] of Object.entries(table)) {
    if (insteadOf === undefined || options[name] === undefined || options[insteadOf] === undefined) continue;
    throw new BertuneError(
      'INVALID_OPTION',
      `Set either ${option(insteadOf)} or ${option(name)}, not both (${option(name)} is ${show(options[name])})`,
    );
  }
}
