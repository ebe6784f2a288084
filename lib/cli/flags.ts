import { type Command, Option } from 'commander';
import { formatSetting } from '../format.js';
import type { Flags } from '../options/names.js';
import type { OptionRow, OptionsOf, OptionTable } from '../options/table.js';
import { TRAINER_OPTIONS } from '../training/options.js';

/*
 * The flags of the options of a table, with their help; the options that they ask for; and how messages name options by
 * their flags.
 */

type AnyRow = OptionRow<unknown, unknown>;

/**
 * The flag of an option of a table.
 *
 * @param name the option's name in code
 * @param help Defaults to the row's own words, with the default
 */
export function rowOption(name: string, row: AnyRow, help = helpOf(row)): Option {
  const flag = row.flag ?? flagOf(name, row);
  if (row.placeholder === null) return new Option(flag, help);
  const option = new Option(`${flag} ${row.placeholder}`, help);
  return row.choices ? option.choices(row.choices) : option.argParser((text: string) => row.read(flag, text));
}

/** `--batch-size` of `batchSize`; `--no-projection` of a switch that is on by default. */
function flagOf(name: string, row: AnyRow): string {
  const words = name.replaceAll(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
  return row.placeholder === null && row.default === true ? `--no-${words}` : `--${words}`;
}

function helpOf({ words, byDefault, default: usual, placeholder }: AnyRow): string {
  if (placeholder === null || byDefault === null) return words;
  const value = byDefault ?? (typeof usual === 'number' ? formatSetting(usual) : usual);
  return value === undefined || value === null || String(value) === '' ? words : `${words} (default: ${value})`;
}

/** Every option of a table that has a flag: its name in code, and the flag. */
export function rowOptions(table: OptionTable, group?: string): { name: string; option: Option }[] {
  return Object.entries(table)
    .filter(([, row]) => row.flag !== null && (group === undefined || (row.group ?? 'Training') === group))
    .map(([name, row]) => ({ name, option: rowOption(name, row) }));
}

/** Adds the flags of a table's options that the help lists under a heading. */
export function addRows(command: Command, table: OptionTable, group: string): Command {
  command.optionsGroup(`${group}:`);
  const attributes = new Map(rowOptions(table).map(({ name, option }) => [name, option.attributeName()]));
  for (const { name, option } of rowOptions(table, group)) {
    const other = attributes.get(table[name]?.insteadOf ?? '');
    command.addOption(other === undefined ? option : option.conflicts(other));
  }
  return command;
}

/** The options of a table that a command's arguments ask for, by their names in code. */
export function rowValues<Table extends OptionTable>(table: Table, args: object): OptionsOf<Table> {
  const values: Record<string, unknown> = {};
  for (const { name, option } of rowOptions(table)) {
    const value = (args as Readonly<Record<string, unknown>>)[option.attributeName()];
    // commander sets the positive of a `--no-` flag that is not there.
    if (value !== undefined && !(option.negate && value === true)) values[name] = value;
  }
  return values as OptionsOf<Table>;
}

/** Options of the library that have another name on the command line: their names in code, and the flags' own. */
const OTHERWISE: readonly (readonly [string, string])[] = [
  ['source.train', 'trainFile'],
  ['source.validation', 'validationFile'],
  ['source.test', 'testFile'],
  ['validation', 'validationFile'],
  ['split.validation', 'validationFraction'],
  ['split.test', 'testFraction'],
  ['split.seed', 'splitSeed'],
  ...rowOptions(TRAINER_OPTIONS).map(({ name, option }) => [name, option.attributeName()] as const),
  ['outputDirectory', 'output'],
  ['directory', 'output'],
];

/** The flags by which messages name options while a command runs: those that the command has. */
export function flagsOf(command: Command): Flags {
  const own = new Map(command.options.map((option) => [option.attributeName(), option.long ?? option.flags]));
  const renamed = OTHERWISE.flatMap(([name, attribute]) => {
    const flag = own.get(attribute);
    return flag === undefined ? [] : [[name, flag] as const];
  });
  return Object.fromEntries([...own, ...renamed]);
}
