import type { Command } from 'commander';
import type { Flags } from '../options/names.js';
import { TRAINER_OPTIONS } from '../training/options.js';
import { rowOptions } from './rows.js';

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
