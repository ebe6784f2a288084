import type { NativeModelConfig } from '../native/index.js';
import type { ModelConfig } from './architecture.js';
import { architectureOf } from './index.js';

/**
 * transformers' activations by the names of native code. 'gelu_fast' and 'gelu_new' write the same function of tanh with
 * more and fewer digits.
 */
const ACTIVATIONS: Readonly<Record<string, NativeModelConfig['activation']>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
};

/** The activations that are known, in transformers' words. */
export const ACTIVATION_NAMES: readonly string[] = Object.keys(ACTIVATIONS);

/** What native code is told of a model beside its parameters. */
export function nativeModel(config: ModelConfig, probeDropout: number): NativeModelConfig {
  const { positionsFollowPadding, headActivation, dropsHeadInput, dropsAttentionOutput } = architectureOf(config);
  const { hiddenDropout } = config;
  const headDropout = config.classifierDropout ?? hiddenDropout;
  return {
    heads: config.heads,
    padTokenId: config.padTokenId ?? -1,
    positionOffset: positionsFollowPadding ? config.padTokenId! + 1 : 0,
    layerNormEps: config.layerNormEps,
    activation: ACTIVATIONS[config.activation]!,
    headActivation,
    embeddingDropout: hiddenDropout,
    attentionDropout: config.attentionDropout,
    attentionOutputDropout: dropsAttentionOutput ? hiddenDropout : 0,
    outputDropout: hiddenDropout,
    headInputDropout: dropsHeadInput ? headDropout : 0,
    headDropout,
    probeDropout,
  };
}
