/* The ways to train, and what each of them makes of a model. */

export type { LoraPlan, MethodPlan, PlannedParameter, PrefixPlan } from './method.js';
export * from './plan.js';
export * from './registry.js';
