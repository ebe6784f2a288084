import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isFile, readBytes } from '../files/input.js';
import { dataFile, formatJson, type OutputFile } from '../files/output.js';
import { readDefinition, type TokenizerConfig, type TokenizerDefinition } from '../tokenizer/definition.js';

const DEFINITION = 'tokenizer.json';
const CONFIG = 'tokenizer_config.json';
const VOCABULARY = 'vocab.txt';

/** Files that make up a tokenizer: one of the first two is needed, the others are copied where they are. */
const TOKENIZER_FILES = [DEFINITION, VOCABULARY, CONFIG, 'special_tokens_map.json'];

/** Far above any tokenizer's. */
const MAX_FILE_BYTES = 64 * 2 ** 20;

/** The class of transformers that does what tokenizer.json says; BertTokenizer adds [CLS] and [SEP] whatever it says. */
const PLAIN_CLASS = 'PreTrainedTokenizerFast';

/** Names under which it goes in tokenizer_config.json. */
const PLAIN_CLASSES: readonly unknown[] = [PLAIN_CLASS, 'TokenizersBackend'];

/** PLAIN_CLASS has no special tokens but those that are named: without a padding token it cannot make a batch. */
const SPECIAL_TOKENS = ['pad', 'unk', 'cls', 'sep', 'mask'];

/**
 * The tokenizer's files of a directory, read into memory to be written elsewhere, so that AutoTokenizer of transformers
 * gives the ids that Tokenizer gives here. They are copies, but where tokenizer.json has no post-processor: then
 * tokenizer_config.json names a class that adds no [CLS] and [SEP] either, with its special tokens, and tokenizer.json
 * the settings of the normaliser that tokenizer_config.json overrules, which that class passes over.
 *
 * @throws BertuneError NOT_FOUND where there is neither tokenizer.json nor vocab.txt, CHECKPOINT_INVALID for broken files
 */
export async function tokenizerFiles(directory: string): Promise<OutputFile[]> {
  const files = new Map<string, string | Uint8Array>();
  for (const name of TOKENIZER_FILES) {
    const path = join(directory, name);
    if (await isFile(path)) files.set(name, await readBytes(path, MAX_FILE_BYTES));
  }
  const { definition, config } = await readDefinition(directory);
  if (definition.post_processor === null) {
    const plain = plainConfig(definition, config);
    if (!isDeepStrictEqual(plain, config)) files.set(CONFIG, formatJson(plain));
    const source = JSON.parse(Buffer.from(files.get(DEFINITION)!).toString()) as { normalizer?: unknown };
    if (!isDeepStrictEqual(source.normalizer ?? null, definition.normalizer)) {
      files.set(DEFINITION, formatJson({ ...source, normalizer: definition.normalizer }));
    }
  }
  return [...files].map(([name, data]) => dataFile(name, data));
}

/** tokenizer_config.json for a tokenizer.json that adds nothing. Everything in it stays but the class. */
function plainConfig(definition: TokenizerDefinition, config: TokenizerConfig): TokenizerConfig {
  const plain: TokenizerConfig = { ...config };
  if (!PLAIN_CLASSES.includes(config.tokenizer_class)) plain.tokenizer_class = PLAIN_CLASS;
  for (const name of SPECIAL_TOKENS) {
    const key = `${name}_token`;
    const token = `[${name.toUpperCase()}]`;
    if (!(key in config) && hasToken(definition, token)) plain[key] = token;
  }
  return plain;
}

function hasToken({ model, added_tokens }: TokenizerDefinition, token: string): boolean {
  return added_tokens.some(({ content }) => content === token) || Object.hasOwn(model.vocab, token);
}
