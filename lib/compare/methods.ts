import { full, linear, lora, type Method, prefix } from '../methods.js';
import { invalidOption } from '../options.js';

/** A method of a comparison. */
export interface NamedMethod {
  /** Its name in options and files, e.g. `lora8`. */
  readonly name: string;
  /** Its name in tables, e.g. `LoRA r=8`. */
  readonly title: string;
  readonly method: Method;
}

/** A method's name in tables. */
export function methodTitle(method: Method): string {
  switch (method.kind) {
    case 'full':
      return 'full';
    case 'linear':
      return 'linear probing';
    case 'prefix':
      return `prefix tuning P=${method.virtualTokens}`;
    case 'lora':
      return `LoRA r=${method.rank}`;
  }
}

/**
 * Reads the names of methods: `full`, `linear`, `prefix` or `prefix20` (virtual tokens), `lora` or `lora8` (rank; alpha
 * is four times it).
 *
 * @throws BertuneError INVALID_OPTION for another name, or the same twice
 */
export function parseMethods(names: readonly string[]): NamedMethod[] {
  const methods = names.map((given) => {
    const [, kind, digits = ''] = /^(full|linear|prefix|lora)(?:(?<=prefix|lora)-?(\d+))?$/.exec(given) ?? [];
    if (kind === undefined) throw invalidOption('methods', 'full, linear, prefix<virtual tokens> or lora<rank>', given);
    const method = create(kind as Method['kind'], digits === '' ? undefined : Number(digits));
    return { name: methodName(method), title: methodTitle(method), method };
  });
  const twice = methods.find(({ name }, index) => methods.findIndex((other) => other.name === name) < index);
  if (twice !== undefined) throw invalidOption('methods', 'every method once', twice.name);
  return methods;
}

function create(kind: Method['kind'], size: number | undefined): Method {
  switch (kind) {
    case 'full':
      return full();
    case 'linear':
      return linear();
    case 'prefix':
      return prefix(size === undefined ? {} : { virtualTokens: size });
    case 'lora':
      return lora(size === undefined ? {} : { rank: size });
  }
}

/** A method's name in options and files. */
export function methodName(method: Method): string {
  if (method.kind === 'lora') return `lora${method.rank}`;
  return method.kind === 'prefix' ? `prefix${method.virtualTokens}` : method.kind;
}
