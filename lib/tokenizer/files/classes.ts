import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import { isObject } from '../../files/json.js';
import { FILES, type TokenizerFiles } from './source.js';

/*
 * Which class of transformers 5 reads a directory (AutoTokenizer.from_pretrained). Most classes make the tokenizer anew
 * from the vocabulary in tokenizer.json, and pass over what else is written there; TokenizersBackend takes it as it is.
 */

/** A class whose tokenizers can be made here. */
export type ClassName =
  | 'TokenizersBackend'
  | 'BertTokenizer'
  | 'BertJapaneseTokenizer'
  | 'DistilBertTokenizer'
  | 'MPNetTokenizer'
  | 'RobertaTokenizer'
  | 'XLMRobertaTokenizer'
  | 'CamembertTokenizer';

/** Names of classes, without the "Fast" at their end. */
const NAMES: Readonly<Record<ClassName, string>> = {
  TokenizersBackend: 'TokenizersBackend PreTrainedTokenizer PythonBackend BloomTokenizer',
  BertTokenizer:
    'BertTokenizer ElectraTokenizer LayoutLMTokenizer LxmertTokenizer MobileBertTokenizer SqueezeBertTokenizer',
  BertJapaneseTokenizer: 'BertJapaneseTokenizer',
  DistilBertTokenizer: 'DistilBertTokenizer',
  MPNetTokenizer: 'MPNetTokenizer',
  RobertaTokenizer: 'RobertaTokenizer BartTokenizer LEDTokenizer LongformerTokenizer MvpTokenizer',
  XLMRobertaTokenizer: 'XLMRobertaTokenizer',
  CamembertTokenizer: 'CamembertTokenizer',
};

/** The class where a model of this type names none. */
const MODEL_TYPES: Readonly<Record<ClassName, string>> = {
  TokenizersBackend: 'modernbert nystromformer xlm-roberta-xl',
  BertTokenizer:
    'bert convbert distilbert electra ernie layoutlm lxmert megatron-bert mobilebert nomic_bert squeezebert visual_bert',
  BertJapaneseTokenizer: '',
  DistilBertTokenizer: '',
  MPNetTokenizer: 'mpnet',
  RobertaTokenizer: 'roberta roberta-prelayernorm bart data2vec-text ibert led lilt longformer mra mvp',
  XLMRobertaTokenizer: 'xlm-roberta xmod jina_embeddings_v3',
  CamembertTokenizer: 'camembert',
};

/** The other classes that transformers 5.17 has. A class that it does not have it replaces by TokenizersBackend. */
const OTHERS =
  'AlbertTokenizer AutoTokenizer BarthezTokenizer BartphoTokenizer BasicTokenizer BertGenerationTokenizer ' +
  'BertweetTokenizer BigBirdTokenizer BioGptTokenizer BlenderbotSmallTokenizer BlenderbotTokenizer ByT5Tokenizer CLIPTokenizer ' +
  'CTRLTokenizer CanineTokenizer CharacterTokenizer ClvpTokenizer CodeGenTokenizer CodeLlamaTokenizer CohereTokenizer ConvBertTokenizer ' +
  'CpmAntTokenizer CpmTokenizer DPRContextEncoderTokenizer DPRQuestionEncoderTokenizer DPRReaderTokenizer DebertaTokenizer ' +
  'DebertaV2Tokenizer DiaTokenizer EsmTokenizer EsmcTokenizer FNetTokenizer FSMTTokenizer FastSpeech2ConformerTokenizer ' +
  'FlaubertTokenizer FunnelTokenizer GPT2Tokenizer GPTNeoXJapaneseTokenizer GPTNeoXTokenizer GPTSw3Tokenizer GemmaTokenizer ' +
  'HerbertTokenizer LasrTokenizer LayoutLMv2Tokenizer LayoutLMv3Tokenizer LayoutXLMTokenizer LlamaTokenizer LukeTokenizer ' +
  'M2M100Tokenizer MBart50Tokenizer MBartTokenizer MLukeTokenizer MarianTokenizer MarkupLMTokenizer MecabTokenizer ' +
  'MgpstrTokenizer MistralCommonBackend MyT5Tokenizer NllbTokenizer NougatTokenizer OpenAIGPTTokenizer PLBartTokenizer ' +
  'ParakeetTokenizer PegasusTokenizer PerceiverTokenizer PhobertTokenizer Pop2PianoTokenizer PreTrainedTokenizerBase ' +
  'ProphetNetTokenizer Qwen2Tokenizer Qwen3_5Tokenizer RagTokenizer ReformerTokenizer RemBertTokenizer RoCBertTokenizer ' +
  'RoFormerTokenizer SeamlessM4TTokenizer SentencePieceBackend Siglip2Tokenizer SiglipTokenizer Speech2TextTokenizer ' +
  'SpeechT5Tokenizer SplinterTokenizer T5Tokenizer TapasTokenizer Tipsv2Tokenizer UdopTokenizer VideoPrismTokenizer ' +
  'VitsTokenizer Wav2Vec2CTCTokenizer Wav2Vec2PhonemeCTCTokenizer WhisperTokenizer WordpieceTokenizer XGLMTokenizer ' +
  'XLMTokenizer XLNetTokenizer';

const CLASS_OF_NAME = inverted(NAMES);
const CLASS_OF_TYPE = inverted(MODEL_TYPES);
const OTHER_NAMES: ReadonlySet<string> = new Set(OTHERS.split(' '));

/** The class of a directory's tokenizer. */
export interface ChosenClass {
  name: ClassName;
  /** Whether a file names it: tokenizer_config.json or config.json. The model's type may have chosen it otherwise. */
  named: boolean;
}

/**
 * Chooses the class as AutoTokenizer does: by tokenizer_config.json, then by config.json, then by the type of the model.
 *
 * @throws BertuneError CHECKPOINT_INVALID naming a class whose tokenizers cannot be made here
 */
export function chooseClass(files: TokenizerFiles): ChosenClass {
  const { directory, config, model } = files;
  const path = join(directory, FILES.config);
  refuseForeignCode(path, config.auto_map);
  refuseVersions(path, config.fast_tokenizer_files);
  const modelPath = join(directory, FILES.model);
  const [key, name] = namedClass(path, config.tokenizer_class) ?? namedClass(modelPath, model.tokenizerClass) ?? [];
  if (name !== undefined) {
    const known = CLASS_OF_NAME.get(name);
    if (known === undefined && OTHER_NAMES.has(name)) throw foreign(`${key} names the tokenizer class ${name}`);
    // A model whose own class is TokenizersBackend has it whatever is named.
    const generic = CLASS_OF_TYPE.get(String(model.type)) === 'TokenizersBackend';
    return { name: generic ? 'TokenizersBackend' : (known ?? 'TokenizersBackend'), named: true };
  }
  if ([undefined, null, ''].includes(model.type as null)) return { name: 'TokenizersBackend', named: false };
  const ofType = CLASS_OF_TYPE.get(String(model.type));
  if (ofType !== undefined) return { name: ofType, named: false };
  throw foreign(
    `${modelPath} is of a model of type ${JSON.stringify(model.type)}, and no file names a tokenizer class`,
  );
}

function namedClass(path: string, value: unknown): [string, string] | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw invalidValue(path, 'tokenizer_class', 'the name of a class', value);
  return [path, value.replace(/(?<=.)Fast$/, '')];
}

/** Code that comes with a tokenizer decides what its ids are, and is not run here. */
function refuseForeignCode(path: string, map: unknown): void {
  const entry = isObject(map) ? map.AutoTokenizer : map;
  if (entry === undefined || entry === null) return;
  const code = (Array.isArray(entry) ? entry : [entry]).find((name) => typeof name === 'string');
  throw foreign(`${path} names code of its own for the tokenizer (auto_map: ${JSON.stringify(code ?? entry)})`);
}

/** Early tokenizers came in several files, one for each range of versions of transformers. */
function refuseVersions(path: string, names: unknown): void {
  const versions = Array.isArray(names) ? names.filter((name) => /^tokenizer\..+\.json$/.test(String(name))) : [];
  if (versions.length > 0) throw invalidValue(path, 'fast_tokenizer_files', 'no other file than tokenizer.json', names);
}

function foreign(what: string): BertuneError {
  return new BertuneError(
    'CHECKPOINT_INVALID',
    `${what}, which Bertune cannot reproduce. If transformers loads it as a fast tokenizer, save it with ` +
      'PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer).save_pretrained(directory) and use its files',
  );
}

function inverted(lists: Readonly<Record<ClassName, string>>): ReadonlyMap<string, ClassName> {
  const entries = Object.entries(lists) as [ClassName, string][];
  return new Map(entries.flatMap(([name, list]) => list.split(' ').map((each): [string, ClassName] => [each, name])));
}
