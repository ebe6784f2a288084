import type { ModelConfig } from '../../lib/architectures/index.js';
import {
  encoderRows,
  type HeadKind,
  headRows,
  linearWeights,
  lowRankRows,
  moduleOf,
  type ParameterRow,
  prefixRows,
} from '../../lib/architectures/rows.js';
import { parseConfig } from '../../lib/formats/checkpoint/config.js';
import { resolveTargets } from '../../lib/methods/adapter/targets.js';

/* The shapes of parameters by name, as tests make files of them. */

export type ShapeTable = Map<string, number[]>;

const shapesOf = (rows: readonly ParameterRow[]): ShapeTable => new Map(rows.map(({ name, shape }) => [name, shape]));

export const encoderTensors = (config: ModelConfig): ShapeTable => shapesOf(encoderRows(config));

export const headTensors = (config: ModelConfig, head: HeadKind, labels: number): ShapeTable =>
  shapesOf(headRows(config, head, labels));

export const expectedTensors = (
  config: ModelConfig,
  head: HeadKind = 'classifier',
  labels = config.labels?.length ?? 2,
): ShapeTable => new Map([...encoderTensors(config), ...headTensors(config, head, labels)]);

const ofLayers = (layers: number): ModelConfig => ({ ...parseConfig({ model_type: 'bert' }), layers });

/** BERT's Linear modules. */
export const linearModules = (layers: number): string[] => linearWeights(ofLayers(layers)).map(moduleOf);

/** Those of BERT's that LoRA targets. */
export const targetModules = (targets: readonly string[], layers: number): string[] =>
  resolveTargets({ targets, layers: null, exclude: [] }, ofLayers(layers)).map(moduleOf);

export const loraTensors = (config: ModelConfig, modules: readonly string[], rank: number): ShapeTable =>
  shapesOf(
    linearWeights(config)
      .filter((weight) => modules.includes(moduleOf(weight)))
      .flatMap((weight) => lowRankRows(weight, rank, false)),
  );

export const prefixTensors = (config: ModelConfig, virtualTokens: number, projection: boolean): ShapeTable =>
  shapesOf(prefixRows(config, virtualTokens, projection));
