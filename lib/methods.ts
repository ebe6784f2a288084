/* The ways to train, and what each of them makes of a model. */

export type { LoraPlan, PrefixPlan } from './methods/method.js';
export * from './methods/plan.js';
export * from './methods/registry.js';
