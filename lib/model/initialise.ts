import type { BertConfig } from '../checkpoint/config.js';
import type { NativeInitializer } from '../native.js';

/**
 * How a new parameter starts, as in transformers, PEFT and torch:
 *
 * - the pooler and the plain classifier: weights N(0, initializer_range²), biases 0
 * - LoRA: A ~ U(±1/√in), which is torch's kaiming_uniform with a = √5; B = 0, so that the update starts at nothing
 * - the prefix: embeddings N(0, 1); the projection's Linears as torch makes them, weights and biases U(±1/√in)
 * - the probe head: its Linears as torch makes them; LayerNorms 1 and 0
 *
 * @param name the parameter, in Hugging Face's words
 * @param shape its shape; a weight's is (out, in)
 * @param config the model's dimensions
 * @param seed of the run; the addon mixes the name in
 */
export function initializerOf(
  name: string,
  shape: readonly number[],
  config: BertConfig,
  seed: number,
): NativeInitializer {
  const isBias = name.endsWith('.bias');
  const inputs = isBias ? linearInputs(name, config) : shape.at(-1)!;
  const torchLinear: NativeInitializer = { distribution: 'uniform', scale: 1 / Math.sqrt(inputs), seed };
  if (/^classifier\.classifier\.[04]\./.test(name)) return constant(isBias ? 0 : 1);
  if (/^classifier\.classifier\.[15]\./.test(name)) return torchLinear;
  if (name.startsWith('prompt_encoder.transform.')) return torchLinear;
  if (name.startsWith('prompt_encoder.')) return { distribution: 'normal', scale: 1, seed };
  if (name.endsWith('.lora_A.weight')) return torchLinear;
  if (isBias || name.endsWith('.lora_B.weight')) return constant(0);
  return { distribution: 'normal', scale: config.initializerRange, seed };
}

function constant(value: number): NativeInitializer {
  return { distribution: 'constant', scale: value, seed: 0 };
}

/** Inputs of the Linear that a bias belongs to: C everywhere but behind the probe's first Linear. */
function linearInputs(name: string, { hiddenSize }: BertConfig): number {
  return name === 'classifier.classifier.5.bias' ? Math.floor(hiddenSize / 2) : hiddenSize;
}
