import { type Command, Option } from 'commander';
import { BertuneError } from '../errors.js';
import { invalidOption } from '../options/validation.js';

/** An option that a command cannot do without. Commander's own would hide a mistyped option behind the missing one. */
class RequiredOption extends Option {}

/** `--model <model>`: an option without which the command cannot start. */
export function required(flags: string, description: string): Option {
  return new RequiredOption(flags, `${description} (required)`);
}

/** @throws BertuneError INVALID_OPTION naming the options that a command needs and was not given, or one that is empty */
export function expectOptions(command: Command): void {
  const given = (option: Option): unknown => command.getOptionValue(option.attributeName());
  const empty = command.options.find((option) => given(option) === '');
  if (empty !== undefined) throw invalidOption(empty.attributeName(), 'a value', '');
  const missing = command.options.filter((option) => option instanceof RequiredOption && given(option) === undefined);
  if (missing.length === 0) return;
  const names = missing.map(({ flags }) => flags).join(' and ');
  throw new BertuneError('INVALID_OPTION', `bertune ${command.name()} needs ${names}`);
}
