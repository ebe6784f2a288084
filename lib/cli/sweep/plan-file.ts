import type { Command, Option } from 'commander';
import { CORE_SCHEMA, load } from 'js-yaml';
import { BertuneError } from '../../errors.js';
import { readText } from '../../files/input.js';
import { isObject } from '../../files/json.js';
import { nearest, shorten } from '../../options/validation.js';

/** Far more than anybody writes. */
const MOST_BYTES = 2 ** 20;
const YAML = { schema: CORE_SCHEMA, maxDepth: 10, maxAliases: 0 };

/**
 * Takes options from a YAML file: flags without their dashes, each with a value or a list of values. What stands on the
 * command line goes before it.
 *
 * @throws BertuneError NOT_FOUND, INVALID_DATA for what is no YAML; INVALID_OPTION
 */
export async function takeOptions(path: string, command: Command): Promise<void> {
  const settings = parse(await readText(path, MOST_BYTES, 'INVALID_DATA'), path);
  const options = command.options.filter(({ long }) => long !== '--file');
  for (const [key, value] of Object.entries(settings)) {
    const option = options.find(({ long }) => long === `--${key}`);
    if (option === undefined) {
      const near = nearest(
        key,
        options.map(({ long }) => (long ?? '').slice(2)),
      );
      const advice = near === undefined ? 'they are those of bertune sweep plan --help' : `did you mean ${near}?`;
      throw new BertuneError('INVALID_OPTION', `There is no setting ${shorten(key)} in ${path}: ${advice}`);
    }
    const name = option.attributeName();
    if (command.getOptionValueSource(name) === 'cli') continue;
    command.setOptionValueWithSource(name, read(option, value, path), 'config');
  }
}

function parse(text: string, path: string): Record<string, unknown> {
  let settings: unknown;
  try {
    settings = load(text, YAML);
  } catch (cause) {
    const [line] = (cause as Error).message.split('\n');
    throw new BertuneError('INVALID_DATA', `Expected YAML in ${path} but ${line}`, { cause });
  }
  if (isObject(settings)) return settings;
  throw new BertuneError('INVALID_DATA', `Expected settings with their values in ${path}`);
}

/** A value as the flag would have it. */
function read(option: Option, value: unknown, path: string): unknown {
  const key = (option.long ?? '').slice(2);
  const isSwitch = !option.required && !option.optional;
  const items = Array.isArray(value) ? value : [value];
  const isSound = (item: unknown) => (isSwitch ? typeof item === 'boolean' : /^(string|number)$/.test(typeof item));
  const odd = items.findIndex((item) => !isSound(item));
  if (odd >= 0 || items.length === 0) {
    const wanted = isSwitch ? 'true or false' : 'a text, a number or a list of them';
    const found = shorten(JSON.stringify(items[odd] ?? value));
    throw new BertuneError('INVALID_OPTION', `Expected ${wanted} for ${key} in ${path} but found ${found}`);
  }
  // Of a flag that says no, true says no.
  if (isSwitch) {
    const values = items.map((item) => item !== option.negate);
    return values.length === 1 ? values[0] : values;
  }
  const texts = items.map(String);
  const { parseArg } = option;
  if (parseArg === undefined) return texts.join(',');
  try {
    const values = texts.map((text) => parseArg(text, undefined as never) as unknown);
    return values.length === 1 ? values[0] : values.flat();
  } catch (cause) {
    if (cause instanceof BertuneError) throw cause;
    throw new BertuneError('INVALID_OPTION', `${key} in ${path}: ${(cause as Error).message}`, { cause });
  }
}
