/*
 * How messages name options. The library is called from code, where an option is `quoting: 'none'`, and from the command
 * line, where the same one is `--quoting none`. No message spells an option itself: it asks here.
 */

/** The flag of each option, by its name in code. */
export type Flags = Readonly<Record<string, string>>;

let flags: Flags = {};

/** Messages of this process name options by these flags from now on. The command line alone asks for it, once, at its start. */
export function nameOptionsByFlags(own: Flags): void {
  flags = own;
}

/** The flags by which messages name options; none in a program that uses the library. */
export function flagsInUse(): Flags {
  return flags;
}

/**
 * An option, as whoever called writes it.
 *
 * @param name its name in code, e.g. `quoting` or `split.test`
 * @param value what to set it to. Defaults to the name alone
 * @returns e.g. `quoting: 'none'` or `--quoting none`; `overwrite: true` or `--overwrite`
 */
export function option(name: string, value?: string | number | boolean): string {
  const flag = flags[name];
  if (value === undefined) return flag ?? name;
  // A small number is easier read as a power of ten.
  const shown = typeof value === 'number' && value < 1e-2 ? value.toExponential() : value;
  if (flag !== undefined) return typeof value === 'boolean' ? flag : `${flag} ${shown}`;
  return `${name}: ${typeof value === 'string' ? `'${value}'` : shown}`;
}
