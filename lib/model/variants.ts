import type { ParameterRow } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import type { NativeSession } from '../native/index.js';

/** Whether a parameter is a variant's own; the encoder is that of all variants. */
export function isOfVariant({ group }: Pick<ParameterRow, 'group'>): boolean {
  return group === 'lora' || group === 'head';
}

/**
 * One variant of a native session as a session of its own.
 *
 * @param own what it does otherwise
 */
export function variantOf(
  native: NativeSession,
  variant: number,
  own: Pick<NativeSession, 'train' | 'dispose'>,
): NativeSession {
  // What is selected holds for the calls from then on: nothing may come between the two.
  const selected = (): NativeSession => {
    native.select(variant);
    return native;
  };
  return {
    select: () => {},
    parameters: () => native.parameters(),
    memory: () => native.memory(),
    read: (...given) => selected().read(...given),
    write: (...given) => selected().write(...given),
    initialize: (...given) => selected().initialize(...given),
    addDataset: (dataset) => native.addDataset(dataset),
    removeDataset: (handle) => native.removeDataset(handle),
    addAdapter: () => refuse('take adapters beside it'),
    removeAdapter: () => refuse('take adapters beside it'),
    reserve: (limits) => native.reserve(limits),
    ...own,
    trainTogether: () => refuse('train with others again'),
    gradients: () => refuse('give gradients'),
    forward: (...given) => selected().forward(...given),
    forwardMixed: (...given) => selected().forwardMixed(...given),
    predict: (...given) => selected().predict(...given),
    recordings: () => native.recordings(),
    hiddenStates: (...given) => selected().hiddenStates(...given),
    promptEmbeddings: () => selected().promptEmbeddings(),
    joinRanks: () => refuse('train with other processes'),
    allReduce: () => refuse('train with other processes'),
    leaveRanks: () => refuse('train with other processes'),
    abort: () => native.abort(),
  };
}

async function refuse(what: string): Promise<never> {
  throw new BertuneError(
    'INVALID_OPTION',
    `The model shares its weights with those that it trained together with, and cannot ${what}; save it and load it again`,
  );
}
