import type { ModelConfig } from '../../../../lib/architectures/index.js';
import { configToJson, parseConfig, readConfig } from '../../../../lib/formats/checkpoint/config.js';
import { expectedTensors } from '../../../lib/shapes.js';
import { damage } from '../bytes.js';
import { cuts, type Format, sound } from '../format.js';
import { JsonDocument } from '../json.js';
import { CODES, CONFIG } from '../seeds.js';

const NAME = 'config.json';
const TEXT = JSON.stringify(CONFIG, null, 2);
const DOCUMENT = new JsonDocument(CONFIG);
const broken = (key: string, value: string) => ({
  files: { [NAME]: TEXT.replace('"model_type"', `${JSON.stringify(key)}: ${value}, "model_type"`) },
  what: `${key} = ${value.slice(0, 40)}`,
});

export const format: Format = {
  fixed: [
    ...cuts(NAME, Buffer.from(TEXT)),
    {
      files: { [NAME]: TEXT.replace('"bert"', 'null').replace('["BertForSequenceClassification"]', '{"toString":1}') },
      what: 'toString',
    },
    {
      files: { [NAME]: TEXT.replace('"bert"', `${'['.repeat(1e5)}${']'.repeat(1e5)}`) },
      what: 'model_type of 100,000 levels',
    },
    { files: { [NAME]: `${'{"a":'.repeat(1e5)}1${'}'.repeat(1e5)}` }, what: '100,000 levels' },
    {
      files: { [NAME]: TEXT.replace('"gelu"', `${'['.repeat(1e5)}${']'.repeat(1e5)}`) },
      what: 'hidden_act of 100,000 levels',
    },
    broken('problem', `"${'x'.repeat(1e6)}"`),
  ],
  generate(random) {
    if (random.chance(0.7)) {
      const { text, what } = DOCUMENT.mutated(random);
      return { files: { [NAME]: text }, what };
    }
    const { bytes, what } = damage(Buffer.from(TEXT), random);
    return { files: { [NAME]: bytes }, what };
  },
  async read(directory) {
    const config = await readConfig(directory);
    const { vocabSize, hiddenSize, layers, heads, feedForwardSize, maxPositions, typeVocabSize, labels } = config;
    for (const size of [vocabSize, hiddenSize, layers, heads, feedForwardSize, maxPositions, typeVocabSize]) {
      sound(Number.isSafeInteger(size) && size > 0, `a size is ${size}`);
    }
    sound(hiddenSize % heads === 0, 'the heads do not divide the hidden size');
    for (const value of [config.hiddenDropout, config.attentionDropout, config.classifierDropout ?? 0]) {
      sound(value >= 0 && value < 1, `a dropout is ${value}`);
    }
    sound(Number.isFinite(config.layerNormEps) && config.layerNormEps > 0, `layer_norm_eps is ${config.layerNormEps}`);
    sound(Number.isFinite(config.initializerRange), `initializer_range is ${config.initializerRange}`);
    if (labels) sound(new Set(labels).size === labels.length && labels.length > 0, 'labels are not distinct');
    sound(expectedTensors(config).size > 0, 'no tensors');
    const again = configToJson(config, labels?.every(Boolean) ? labels : ['a', 'b'], 'classifier', 'float32');
    const sizesOf = ({ raw: _, labels: __, labelNotes: ___, problemType: ____, ...sizes }: ModelConfig) => sizes;
    const [sizes, before] = [sizesOf(parseConfig(again)), sizesOf(config)];
    sound(JSON.stringify(sizes) === JSON.stringify(before), 'it is another when written and read again');
  },
  codes: CODES,
};
