import type { ModelConfig } from '../../lib/architectures/index.js';
import { nativeModel } from '../../lib/architectures/native.js';
import {
  encoderRows,
  type HeadKind,
  headRows,
  lowRankRows,
  moduleOf,
  type ParameterRow,
  prefixRows,
} from '../../lib/architectures/rows.js';
import { parseConfig } from '../../lib/formats/checkpoint/config.js';
import type {
  NativeAdapterConfig,
  NativeLoraConfig,
  NativeSessionConfig,
  NativeTensor,
} from '../../lib/native/index.js';

/** The dimensions of a model; of BERT unless `modelType` says another. */
export interface ModelShape
  extends Pick<
    ModelConfig,
    | 'vocabSize'
    | 'hiddenSize'
    | 'layers'
    | 'heads'
    | 'feedForwardSize'
    | 'maxPositions'
    | 'typeVocabSize'
    | 'layerNormEps'
  > {
  modelType?: string;
  /** Defaults to the hidden size. */
  embeddingSize?: number;
  /** In transformers' words. Defaults to 'gelu'. */
  activation?: string;
  labels: number;
  /** −1: none. */
  padTokenId: number;
  hiddenDropout: number;
  attentionDropout: number;
  classifierDropout: number;
}

/** A session by names: what a method adds to a model, and the parameters that train. */
export interface SessionShape extends Pick<NativeSessionConfig, 'device' | 'precision' | 'threads' | 'loss'> {
  model: ModelShape;
  head: HeadKind;
  probeDropout: number;
  lora: { modules: string[]; rank: number; scaling: number; dropout: number; dora?: boolean } | null;
  prefix: { virtualTokens: number; projection: boolean } | null;
  trainable: string[];
  decay: string[];
}

/** What config.json would say of a model of this shape. */
export function configOf({ labels: _, padTokenId, ...shape }: ModelShape): ModelConfig {
  const modelType = shape.modelType ?? 'bert';
  const base = parseConfig({ model_type: modelType });
  const offset = base.maxPositions - base.maxTokens;
  return {
    ...base,
    embeddingSize: shape.hiddenSize,
    ...shape,
    modelType,
    padTokenId: padTokenId < 0 ? null : padTokenId,
    maxTokens: shape.maxPositions - offset,
  };
}

/** Every parameter that a shape has. */
export function rowsOf({ model, head, lora, prefix }: Pick<SessionShape, 'model' | 'head' | 'lora' | 'prefix'>) {
  const config = configOf(model);
  const encoder = encoderRows(config);
  const updated = (module: string): ParameterRow[] => {
    const weight = encoder.find((row) => row.part === 'weight' && moduleOf(row) === module);
    if (!weight || !lora) throw new Error(`Expected a module of the encoder but received ${module}`);
    return lowRankRows(weight, lora.rank, lora.dora ?? false);
  };
  return [
    ...encoder,
    ...(lora?.modules ?? []).flatMap(updated),
    ...(prefix ? prefixRows(config, prefix.virtualTokens, prefix.projection) : []),
    ...headRows(config, head, model.labels),
  ];
}

/** What the addon takes for a shape. */
export function nativeConfig(shape: SessionShape): NativeSessionConfig & { lora: NativeLoraConfig | null } {
  const { device, precision, threads, loss, model, lora, probeDropout, trainable, decay } = shape;
  const updates = new Map(
    rowsOf(shape)
      .filter(({ part }) => part === 'lora_A')
      .map(({ role, layer }) => [`${role} ${layer}`, { role, layer, scaling: lora!.scaling }]),
  );
  const parameters = rowsOf(shape).map(({ name, role, layer, part, shape: sizes }) => {
    return { name, role, layer, part, shape: sizes, trainable: trainable.includes(name), decay: decay.includes(name) };
  });
  return {
    ...{ device, precision, threads, ...(loss && { loss }) },
    model: nativeModel(configOf(model), probeDropout),
    parameters,
    lora: lora && { dropout: lora.dropout, modules: [...updates.values()] },
  };
}

/** An adapter by names. */
export interface AdapterShape {
  labels: number;
  lora: { modules: string[]; rank: number; scaling: number; dora?: boolean } | null;
  prefix: { virtualTokens: number } | null;
}

/** A tensor by its name in files. */
export type NamedTensor = Pick<NativeTensor, 'name' | 'dtype' | 'bytes'>;

/** What the addon takes for an adapter on a model. */
export function nativeAdapter(
  model: ModelShape,
  { labels, lora, prefix }: AdapterShape,
  tensors: readonly NamedTensor[],
): [NativeAdapterConfig, NativeTensor[]] {
  const rows = rowsOf({
    model: { ...model, labels },
    head: 'classifier',
    lora: lora && { ...lora, dropout: 0 },
    prefix: prefix && { ...prefix, projection: false },
  });
  const rowOf = (name: string): ParameterRow => {
    const row = rows.find((each) => each.name === name);
    if (!row) throw new Error(`Expected a parameter of the adapter but received ${name}`);
    return row;
  };
  const modules = lora?.modules.map((module) => {
    const { role, layer } = rowOf(`${module}.weight`);
    return { role, layer, rank: lora.rank, scaling: lora.scaling };
  });
  return [
    { labels, lora: modules ? { modules } : null, prefix },
    tensors.map(({ name, dtype, bytes }) => {
      const { role, layer, part } = rowOf(name);
      return { name, role, layer, part, dtype, bytes };
    }),
  ];
}
