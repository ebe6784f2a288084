import { expectObject, expectOneOf } from '../options/validation.js';
import { type BitfitMethod, bitfitMethod } from './bitfit.js';
import { type FullMethod, fullMethod } from './full.js';
import { type LinearMethod, linearMethod } from './linear.js';
import { type LogregMethod, logregMethod } from './logreg.js';
import { type LoraMethod, loraMethod } from './lora.js';
import type { MethodDefinition } from './method.js';
import { type PrefixMethod, prefixMethod } from './prefix.js';

export * from './bitfit.js';
export * from './full.js';
export * from './linear.js';
export * from './logreg.js';
export * from './lora.js';
export * from './prefix.js';

/** A method of training with its options. */
export type Method = FullMethod | LinearMethod | PrefixMethod | LoraMethod | BitfitMethod | LogregMethod;

/** The name of a method. */
export type MethodKind = Method['kind'];

/** Every way to train. A new one is a file beside this one, its name in this file, and in lib/index.ts. */
export const METHODS: { readonly [K in MethodKind]: MethodDefinition<Extract<Method, { kind: K }>> } = {
  full: fullMethod,
  linear: linearMethod,
  prefix: prefixMethod,
  lora: loraMethod,
  bitfit: bitfitMethod,
  logreg: logregMethod,
};

/** The names of all methods. */
export const METHOD_KINDS: readonly MethodKind[] = Object.freeze(Object.keys(METHODS) as MethodKind[]);

/** What is known of a kind of method. */
export function definitionOf(kind: MethodKind): MethodDefinition<Method> {
  return METHODS[kind] as MethodDefinition<Method>;
}

/**
 * Checks a method that a caller passes, and fills what it leaves out.
 *
 * @param value what `full()`, `linear()`, ... returned, or a plain object `{ kind, ...options }`
 * @throws BertuneError INVALID_OPTION
 */
export function expectMethod(name: string, value: unknown): Method {
  const optionNames = METHOD_KINDS.flatMap((kind) => Object.keys(METHODS[kind].options));
  const { kind, ...given } = expectObject(name, value, ['kind', ...optionNames]);
  const { create, options } = definitionOf(expectOneOf(`${name}.kind`, kind, METHOD_KINDS));
  // In a method that was made before, null says that an option was left out.
  const isThere = ([key, setting]: [string, unknown]) => setting !== null || options[key]?.default !== null;
  return create(Object.fromEntries(Object.entries(given).filter(isThere)));
}

/** Every way to train whose result is an adapter. */
export const ADAPTER_FORMATS = METHOD_KINDS.flatMap((kind) => definitionOf(kind).adapter ?? []);
