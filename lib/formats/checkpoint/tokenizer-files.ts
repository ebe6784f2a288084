import { join } from 'node:path';
import { isFile, readBytes } from '../../files/input.js';
import { dataFile, formatJson, type OutputFile } from '../../files/output.js';
import type { TokenizerDefinition } from '../../tokenizer/definition.js';
import { type ClassName, chooseClass } from '../../tokenizer/files/classes.js';
import { readDefinition } from '../../tokenizer/files/read-definition.js';
import { FILES, readFiles, TOKENIZER_FILES } from '../../tokenizer/files/source.js';
import { withoutNmt } from '../../tokenizer/normalizers.js';

/** Far above any tokenizer's. */
const MAX_FILE_BYTES = 64 * 2 ** 20;

/**
 * The tokenizer's files of a directory, read into memory to be written elsewhere, so that AutoTokenizer of transformers
 * gives the ids that Tokenizer gives here. They are copies, but for what AutoTokenizer needs where no config.json of the
 * model is beside them, as in the directory of an adapter: tokenizer_config.json names the class, and there is a
 * tokenizer.json also where the source has a vocab.txt only.
 *
 * @returns the files, and the names of files of a tokenizer that would be read with them and are none of theirs
 * @throws BertuneError NOT_FOUND where there is no tokenizer, CHECKPOINT_INVALID for broken files
 */
export async function tokenizerFiles(directory: string): Promise<{ files: OutputFile[]; remove: string[] }> {
  const contents = new Map<string, string | Uint8Array>();
  for (const name of TOKENIZER_FILES) {
    const path = join(directory, name);
    if (await isFile(path)) contents.set(name, await readBytes(path, MAX_FILE_BYTES));
  }
  const { definition, className } = await readDefinition(directory);
  const source = await readFiles(directory);
  const alone = chooseClass({ ...source, model: { type: undefined, tokenizerClass: undefined } });
  if (alone.name !== className || !alone.named) {
    contents.set(FILES.config, formatJson({ ...source.config, tokenizer_class: nameOfClass(className) }));
  }
  if (source.definition === undefined) contents.set(FILES.definition, formatDefinition(definition));
  return filesOf(contents);
}

/**
 * The tokenizer of a directory for programs that know no classes of transformers, as transformers.js: tokenizer.json says all
 * that it does, and tokenizer_config.json names its special tokens and the longest text.
 *
 * @param maxLength tokens of the longest text, special ones included
 * @returns as tokenizerFiles
 * @throws BertuneError as tokenizerFiles
 */
export async function plainTokenizerFiles(directory: string, maxLength: number) {
  const { definition, className, special } = await readDefinition(directory);
  const { config } = await readFiles(directory);
  const settings = { ...config, ...special, tokenizer_class: nameOfClass(className), model_max_length: maxLength };
  return filesOf(
    new Map([
      [FILES.definition, formatDefinition({ ...definition, normalizer: withoutNmt(definition.normalizer) })],
      [FILES.config, formatJson(settings)],
      [FILES.specialTokens, formatJson(special)],
    ]),
  );
}

function filesOf(contents: ReadonlyMap<string, string | Uint8Array>): { files: OutputFile[]; remove: string[] } {
  return {
    files: [...contents].map(([name, data]) => dataFile(name, data)),
    remove: TOKENIZER_FILES.filter((name) => !contents.has(name)),
  };
}

/** By a name that versions of transformers before 5 know as well. */
function nameOfClass(className: ClassName): string {
  return className === 'TokenizersBackend' ? 'PreTrainedTokenizerFast' : className;
}

/** tokenizer.json. The tokens that its class adds by itself behind all others are left to it. */
function formatDefinition({ added_tokens: added, model, ...parts }: TokenizerDefinition): string {
  const last = added.findLastIndex(({ implied }) => !implied);
  const added_tokens = added.slice(0, last + 1).map(({ implied: _, ...token }) => token);
  return formatJson({ version: '1.0', truncation: null, padding: null, added_tokens, ...parts, model });
}
