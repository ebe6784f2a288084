import { definitionOf, METHOD_KINDS, type Method, type MethodKind } from '../methods/index.js';
import { invalidOption } from '../options/validation.js';

/** A method of a comparison. */
export interface NamedMethod {
  /** Its name in options and files, e.g. `lora8`. */
  readonly name: string;
  /** Its name in tables, e.g. `LoRA r=8`. */
  readonly title: string;
  readonly method: Method;
}

/**
 * Reads the names of methods: `full`, `linear`, `prefix` or `prefix20` (virtual tokens), `lora` or `lora8` (rank; alpha
 * is four times it).
 *
 * @throws BertuneError INVALID_OPTION for another name, or the same twice
 */
export function parseMethods(names: readonly string[]): NamedMethod[] {
  const methods = names.map((given) => {
    const [, kind, digits] = /^([a-z]+)(?:-?(\d+))?$/.exec(given) ?? [];
    const definition = METHOD_KINDS.includes(kind as MethodKind) ? definitionOf(kind as MethodKind) : undefined;
    const size = definition?.size;
    if (definition === undefined || (digits !== undefined && size === undefined)) {
      throw invalidOption('methods', comparedWords(' or '), given);
    }
    const method = definition.create(size && digits !== undefined ? { [size.option]: Number(digits) } : {});
    return { name: definition.name(method), title: definition.title(method), method };
  });
  const twice = methods.find(({ name }, index) => methods.findIndex((other) => other.name === name) < index);
  if (twice !== undefined) throw invalidOption('methods', 'every method once', twice.name);
  return methods;
}

/** The names that `parseMethods` reads: `full, linear, prefix<virtual tokens> ...`. */
export function comparedWords(last: ', ' | ' or '): string {
  const words = METHOD_KINDS.map((kind) => {
    const { size } = definitionOf(kind);
    return size === undefined ? kind : `${kind}<${size.words}>`;
  });
  return `${words.slice(0, -1).join(', ')}${last}${words.at(-1)}`;
}
