import type { Architecture, ModelConfig } from './architecture.js';
import { bert } from './bert.js';
import { distilbert } from './distilbert.js';
import { electra } from './electra.js';
import { roberta } from './roberta.js';

export type { Architecture, ModelConfig } from './architecture.js';

/** Every architecture. A new one is a file beside this one, and its name here. */
export const ARCHITECTURES: readonly Architecture[] = [bert, roberta, distilbert, electra];

const BY_TYPE: ReadonlyMap<string, Architecture> = new Map(
  ARCHITECTURES.flatMap((architecture) => Object.keys(architecture.modelTypes).map((type) => [type, architecture])),
);

/** The model_type of config.json of every model that is read. */
export const SUPPORTED_TYPES: readonly string[] = [...BY_TYPE.keys()];

/** The architecture of a model. */
export function architectureOf({ modelType }: Pick<ModelConfig, 'modelType'>): Architecture {
  return BY_TYPE.get(modelType)!;
}

/** The model_type of a class of transformers, e.g. 'bert' of BertForMaskedLM; undefined for one that is not read. */
function typeOfClass(name: string): string | undefined {
  const named = ARCHITECTURES.flatMap(({ modelTypes }) => Object.entries(modelTypes));
  return named.find(([, start]) => new RegExp(`^${start}(For|Model|$)`).test(name))?.[0];
}

/** Names of the parameters of an architecture's own head, the weight whose rows are the labels and its bias first. */
export function headNames({ head }: Architecture): [output: string, ...others: string[]] {
  const names = (module: string) => [`${module}.weight`, `${module}.bias`] as const;
  return [...names(head.output), ...(head.dense === null ? [] : names(head.dense))];
}

/** The model_type of a config.json. Files from before transformers 2.6 name none, only the class. */
export function modelTypeOf(raw: Record<string, unknown>): unknown {
  const [architecture] = Array.isArray(raw.architectures) ? raw.architectures : [raw.architectures];
  return raw.model_type ?? (typeof architecture === 'string' ? typeOfClass(architecture) : undefined);
}
