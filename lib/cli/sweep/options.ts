import { type Command, Option } from 'commander';
import { BertuneError } from '../../errors.js';
import { type Axis, type AxisTarget, isSeed, type Span } from '../../experiments/sweep/space.js';
import { definitionOf, METHOD_KINDS, type MethodKind } from '../../methods/index.js';
import type { OptionRow } from '../../options/table.js';
import { expectOneOf, invalidOption } from '../../options/validation.js';
import { TRAINER_OPTIONS } from '../../training/options.js';
import { rowOption, rowOptions } from '../flags.js';
import { methodFlags } from '../train-arguments.js';

/* The flags of the settings that a sweep may vary: those of `train`, each of which takes several values. */

type AnyRow = OptionRow<unknown, unknown>;

/** A flag, and what its values are of. */
interface SweepFlag {
  readonly option: Option;
  readonly target: AxisTarget;
}

/** What is one value, also where it has commas, is told by what the help calls it. */
const SINGLE = ['<n>', '<x>', '<p>', '<name>'];
const NUMBERS: readonly (string | null)[] = ['<n>', '<x>', '<p>'];

/** Those of a checkpoint are of how a sweep is run. */
const TRAINED = rowOptions(TRAINER_OPTIONS, 'Training');

function sweepFlags(): SweepFlag[] {
  const method = new Option('--method <names>', `${METHOD_KINDS.join(', ')} (default: full)`);
  method.argParser((text: string) => text.split(',').map((name) => expectOneOf('--method', name.trim(), METHOD_KINDS)));
  return [
    { option: method, target: { of: 'method' } },
    ...methodFlags().map(({ name, row, kinds }) => {
      const labels = kinds.map((kind) => definitionOf(kind).label).join(', ');
      const words = `${labels}: ${row.words}`;
      return { option: listOption(name, { ...row, words }), target: { of: 'options' as const, name, methods: kinds } };
    }),
    ...TRAINED.map(({ name }) => {
      const key = name as keyof typeof TRAINER_OPTIONS;
      return { option: listOption(name, TRAINER_OPTIONS[key]), target: { of: 'trainer' as const, name: key } };
    }),
  ];
}

/** The flag of a row, for several values with commas between them, or a range of numbers. */
function listOption(name: string, row: AnyRow): Option {
  const { flags, long, description } = rowOption(name, row);
  if (row.placeholder === null) return new Option(flags, description);
  const isList = SINGLE.includes(row.placeholder);
  const choices = row.choices === undefined ? '' : ` (choices: ${row.choices.map((name) => `"${name}"`).join(', ')})`;
  const option = new Option(isList ? flags.replace(/>$/, ',...>') : flags, description + choices);
  return option.argParser((text: string) => readValues(long ?? flags, row, text));
}

function readValues(flag: string, row: AnyRow, text: string): readonly unknown[] | Span {
  const [, low, high] = NUMBERS.includes(row.placeholder) ? (/^(.+?)\.\.(.+)$/.exec(text) ?? []) : [];
  if (low !== undefined && high !== undefined) {
    const [from, to] = [row.read(flag, low), row.read(flag, high)];
    if (typeof from === 'number' && typeof to === 'number' && from < to) {
      return { from, to, isInteger: row.placeholder === '<n>' };
    }
    throw invalidOption(flag, 'a range from a number to a larger one', text);
  }
  if (!SINGLE.includes(row.placeholder ?? '')) return [row.read(flag, text)];
  const values = text.split(',').map((part) => row.read(flag, part.trim()));
  const twice = values.find((value, i) => values.indexOf(value) < i);
  if (twice !== undefined) throw invalidOption(flag, 'every value once', twice);
  return values;
}

/** Adds the flags of what a sweep may vary. */
export function addSweepFlags(command: Command): void {
  const flags = sweepFlags();
  command.optionsGroup('Method:');
  for (const { option, target } of flags) if (target.of !== 'trainer') command.addOption(option);
  command.optionsGroup('Training:');
  for (const { option, target } of flags) if (target.of === 'trainer') command.addOption(option);
}

/**
 * The settings that a command's arguments give, the seed last.
 *
 * @throws BertuneError INVALID_OPTION for an option of a method that is not among them
 */
export function axesOf(args: Readonly<Record<string, unknown>>): Axis[] {
  const methods = (args.method ?? ['full']) as readonly MethodKind[];
  const axes = sweepFlags().flatMap(({ option, target }): Axis[] => {
    const values = valuesOf(option, args[option.attributeName()]);
    if (values === undefined) return [];
    const flag = option.long ?? option.flags;
    if (target.of === 'options' && !target.methods.some((kind) => methods.includes(kind))) {
      throw new BertuneError(
        'INVALID_OPTION',
        `${flag} is an option of --method ${target.methods.join(' and ')}, but the method is ${methods.join(' or ')}`,
      );
    }
    return [{ name: flag.replace(/^--(no-)?/, '').replaceAll('-', ' '), flag, target, values }];
  });
  return [...axes.filter((axis) => !isSeed(axis)), ...axes.filter(isSeed)];
}

/** The values of an option; undefined where it is not given. */
function valuesOf(option: Option, given: unknown): Axis['values'] | undefined {
  // commander sets the positive of a `--no-` flag that is not there.
  if (given === undefined || (option.negate && given === true)) return undefined;
  if (typeof given === 'boolean') return [given];
  return given as Axis['values'];
}
