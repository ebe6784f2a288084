// The adapters beside the model, as a file lists them: every replica that reads the same file serves the same adapters.
//
//   { "emotions": "org/emotions@0123456789abcdef0123456789abcdef01234567", "spam": "spam/v3" }
//
// A source is an id on the hub with the commit, or a folder, from the file's own where it is relative. Each names one version for
// good: a new version is a new commit or a new folder, and the list is replaced by a rename.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from './failure.js';
import { warmUp } from './warm-up.js';

const PINNED = /^[\w.-]+(\/[\w.-]+)?@[0-9a-f]{40}$/;
const UNPINNED = /^[\w.-]+\/[\w.-]+(@.*)?$/;

/** An adapter that is served. @typedef {{ source: string, key: string }} Served `key`: its name in the classifier */

export class Adapters {
  #classifier;
  #file;
  /** By the names that requests use. Replaced as a whole, never changed. @type {ReadonlyMap<string, Served>} */
  #served = new Map();
  #loads = 0;

  /**
   * @param {import('bertune').TextClassifier} classifier
   * @param {string} file the list
   */
  constructor(classifier, file) {
    this.#classifier = classifier;
    this.#file = file;
  }

  /** Sources by name. */
  get sources() {
    return new Map([...this.#served].map(([name, { source }]) => [name, source]));
  }

  /**
   * What the classifier calls the adapters that a request names. To be used at once, as `predict` holds them from then on.
   *
   * @param {string | null | (string | null)[]} choice
   */
  keysOf(choice) {
    const served = this.#served;
    const keyOf = (name) => {
      if (name === null) return null;
      const found = served.get(name);
      if (found) return found.key;
      throw new Refusal(404, 'NOT_FOUND', `There is no adapter ${name}; there are ${[...served.keys()].join(', ')}`);
    };
    return Array.isArray(choice) ? choice.map(keyOf) : keyOf(choice);
  }

  /**
   * Serves what the file lists now. What is new is loaded and warmed up first; then all of it takes the place of the old at once, so
   * that a request is answered by the adapters of one list; then the old is unloaded, after the requests that use it.
   *
   * @returns whether something changed
   * @throws where the file or an adapter cannot be read; the old ones are served on
   */
  async synchronise() {
    const wanted = await readList(this.#file);
    const before = this.#served;
    const next = new Map();
    const loaded = [];
    try {
      for (const [name, source] of wanted) {
        const current = before.get(name);
        if (current?.source === source) next.set(name, current);
        else next.set(name, await this.#load(name, source, loaded));
      }
    } catch (error) {
      for (const key of loaded) await this.#classifier.unloadAdapter(key);
      throw error;
    }
    this.#served = next;
    const kept = new Set([...next.values()]);
    const old = [...before.values()].filter((each) => !kept.has(each));
    for (const { key } of old) await this.#classifier.unloadAdapter(key);
    return loaded.length > 0 || old.length > 0;
  }

  /**
   * Synchronizes now and then, until the signal.
   *
   * @param {number} seconds between two looks at the file
   * @param {(error?: unknown) => void} onOutcome called after each that changed something or failed
   * @param {AbortSignal} signal
   */
  async follow(seconds, onOutcome, signal) {
    while (await sleep(seconds * 1000, true, { signal, ref: false }).catch(() => false)) {
      await this.synchronise().then((changed) => changed && onOutcome(), onOutcome);
    }
  }

  async #load(name, source, loaded) {
    const key = `${name}#${++this.#loads}`;
    await this.#classifier.loadAdapter(key, source);
    loaded.push(key);
    await warmUp(this.#classifier, key);
    return { source, key };
  }
}

/** @returns {Promise<[string, string][]>} names and sources, folders as absolute paths */
async function readList(file) {
  const list = JSON.parse(await readFile(file, 'utf8'));
  if (typeof list !== 'object' || list === null || Array.isArray(list)) {
    throw new Error(`Expected names with their sources in ${file}`);
  }
  return Object.entries(list).map(([name, source]) => {
    if (typeof source !== 'string') throw new Error(`Expected a source for ${name} in ${file}`);
    if (PINNED.test(source)) return [name, source];
    if (UNPINNED.test(source) && source.includes('@')) {
      throw new Error(`Expected the commit of ${source} in ${file}, 40 digits, so that all replicas serve the same`);
    }
    return [name, path.resolve(path.dirname(file), source)];
  });
}
