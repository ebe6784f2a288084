/* The ways to train, and what each of them makes of a model. */

export { type BitfitMethod, type BitfitOptions, bitfit } from './methods/bitfit.js';
export { type FullMethod, type FullOptions, full } from './methods/full.js';
export { type LinearMethod, type LinearOptions, linear } from './methods/linear.js';
export { type LoraMethod, type LoraOptions, lora } from './methods/lora.js';
export type { LoraPlan, PrefixPlan } from './methods/method.js';
export * from './methods/plan.js';
export { type PrefixMethod, type PrefixOptions, prefix } from './methods/prefix.js';
export { definitionOf, expectMethod, METHOD_KINDS, type Method, type MethodKind } from './methods/registry.js';
