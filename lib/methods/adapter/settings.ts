import { BertuneError } from '../../errors.js';
import { isObject } from '../../files/json.js';

/** Keys of adapter_config.json that say nothing about the arithmetic of an adapter that is loaded. */
const IRRELEVANT = new Set([
  'auto_mapping',
  'base_model_name_or_path',
  'ensure_weight_tying',
  'eva_config',
  'inference_mode',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
]);

/** Ways to start a LoRA that leave the base weights alone; the others (PiSSA, OLoRA, ...) change them. */
const NEUTRAL_INITS: readonly unknown[] = [true, false, 'gaussian', 'orthogonal', 'eva'];

/** Tests for keys that may have certain values; all other keys may only be null, false or empty. */
const ALLOWED: Readonly<Record<string, (value: unknown) => boolean>> = {
  bias: (value) => value === 'none',
  init_lora_weights: (value) => NEUTRAL_INITS.includes(value),
  modules_to_save: (value) => Array.isArray(value) && value.every((name) => name === 'classifier' || name === 'score'),
  num_transformer_submodules: (value) => value === 1,
  task_type: (value) => value === 'SEQ_CLS',
};

/** adapter_config.json with typed access; errors name key, expectation and finding. */
export class AdapterSettings {
  readonly #raw: Record<string, unknown>;
  readonly #source: string;

  constructor(raw: Record<string, unknown>, source: string) {
    this.#raw = raw;
    this.#source = source;
  }

  /**
   * Refuses every setting that would make PEFT compute something else than is computed here.
   *
   * @param read keys that the caller reads itself
   * @throws BertuneError CHECKPOINT_INVALID naming the key and its value
   */
  refuseUnknown(read: readonly string[]): void {
    for (const [key, value] of Object.entries(this.#raw)) {
      if (read.includes(key) || IRRELEVANT.has(key) || isVoid(value)) continue;
      if (Object.hasOwn(ALLOWED, key) && ALLOWED[key]!(value)) continue;
      const shown = JSON.stringify(value);
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected only settings that are supported here in ${this.#source} but found ${key} = ` +
          `${shown.length > 200 ? `${shown.slice(0, 200)}…` : shown}`,
      );
    }
  }

  value(key: string): unknown {
    return this.#raw[key];
  }

  text(key: string): string | null {
    const value = this.#raw[key] ?? null;
    if (value !== null && typeof value !== 'string') throw this.invalid(key, 'text or null');
    return value;
  }

  positiveInteger(key: string): number {
    const value = this.#raw[key];
    if (!Number.isSafeInteger(value) || (value as number) < 1) throw this.invalid(key, 'a positive integer');
    return value as number;
  }

  /** @param fallback what an absent key means */
  number(key: string, fallback: number | undefined, expected: string, test: (value: number) => boolean): number {
    const value = this.#raw[key] ?? fallback;
    if (typeof value !== 'number' || !test(value)) throw this.invalid(key, expected);
    return value;
  }

  /** A value of one of these; an absent key means the first. */
  oneOf<Choice extends string>(key: string, choices: readonly [Choice, ...Choice[]]): Choice {
    const value = this.#raw[key] ?? choices[0];
    if (!choices.includes(value as Choice)) throw this.invalid(key, `one of ${choices.join(', ')}`);
    return value as Choice;
  }

  /** Numbers by name; an absent key means none. */
  numbers(key: string, expected: string, test: (value: number) => boolean): Record<string, number> {
    const value = this.#raw[key] ?? {};
    if (!isObject(value) || !Object.values(value).every((item) => typeof item === 'number' && test(item))) {
      throw this.invalid(key, expected);
    }
    return value as Record<string, number>;
  }

  flag(key: string): boolean {
    const value = this.#raw[key] ?? false;
    if (typeof value !== 'boolean') throw this.invalid(key, 'true or false');
    return value;
  }

  invalid(key: string, expected: string): BertuneError {
    const found = JSON.stringify(this.#raw[key]) ?? 'nothing';
    return new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${expected} for ${key} in ${this.#source} but found ${found}`,
    );
  }
}

/** Values by which a setting is off. */
function isVoid(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (isObject(value)) return Object.keys(value).length === 0;
  return value === null || value === false || value === '';
}
