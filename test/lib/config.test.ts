import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import type { ModelConfig } from '../../lib/architectures/index.js';
import { formatJson } from '../../lib/files/output.js';
import { configToJson, FLOAT_KEYS, parseConfig, readConfig } from '../../lib/formats/checkpoint/config.js';
import { expectRefusal, fixture, useTemporaryDirectory } from './files.js';

describe('config.json', () => {
  const directory = useTemporaryDirectory();

  it('is read as transformers wrote it', async () => {
    const config = await readConfig(fixture('parity', 'checkpoint'));
    const { raw, ...rest } = config;
    expect(rest).to.deep.equal({
      modelType: 'bert',
      vocabSize: 8192,
      embeddingSize: 256,
      hiddenSize: 256,
      layers: 4,
      heads: 4,
      feedForwardSize: 1024,
      maxPositions: 512,
      maxTokens: 512,
      typeVocabSize: 2,
      layerNormEps: 1e-12,
      activation: 'gelu',
      hiddenDropout: 0,
      attentionDropout: 0,
      classifierDropout: null,
      padTokenId: 0,
      initializerRange: 0.02,
      labels: ['sadness', 'joy', 'love', 'anger', 'fear', 'surprise'],
      labelNotes: [],
      pairs: null,
      problemType: null,
      thresholds: null,
      temperature: null,
      longTexts: null,
    });
    expect(raw).to.have.property('transformers_version', '5.17.0');
  });

  it('takes BERT-base for what it does not say', async () => {
    const { raw, ...base } = await readConfig(fixture('bert-base-uncased'));
    const { raw: none, ...defaults } = parseConfig({ model_type: 'bert' });
    expect(defaults).to.deep.equal(base);
    expect([raw, none]).to.have.length(2);
    expect(defaults.labels).to.equal(null);
  });

  it('tells an absent padding token from one that is null', () => {
    expect(parseConfig({ model_type: 'bert' }).padTokenId).to.equal(0);
    expect(parseConfig({ model_type: 'bert', pad_token_id: null }).padTokenId).to.equal(null);
    expect(parseConfig({ model_type: 'bert', pad_token_id: 3 }).padTokenId).to.equal(3);
  });

  it('reads class names in the order of their numbers', () => {
    const labels = Array.from({ length: 12 }, (_, i) => `class ${i}`);
    const id2label = Object.fromEntries(labels.map((label, i) => [String(i), label]).reverse());
    expect(parseConfig({ model_type: 'bert', id2label }).labels).to.deep.equal(labels);
    expect(parseConfig({ model_type: 'bert', num_labels: 3 }).labels).to.deep.equal(['LABEL_0', 'LABEL_1', 'LABEL_2']);
  });

  it('takes the activations that are known, and writes the name that was read', () => {
    for (const hidden_act of [
      'gelu',
      'gelu_python',
      'gelu_new',
      'gelu_fast',
      'gelu_pytorch_tanh',
      'relu',
      'silu',
      null,
    ]) {
      const config = parseConfig({ model_type: 'bert', hidden_act });
      const written = configToJson(config, ['a', 'b'], 'classifier', 'float32');
      expect(written).to.have.property('hidden_act', hidden_act ?? 'gelu');
    }
  });

  it('counts positions from behind the padding token in RoBERTa', () => {
    const roberta = { model_type: 'roberta', max_position_embeddings: 514, type_vocab_size: 1 };
    expect(parseConfig(roberta)).to.include({ padTokenId: 1, maxPositions: 514, maxTokens: 512 });
    expect(() => parseConfig({ ...roberta, pad_token_id: null })).to.throw('Expected a token id below vocab_size');
    expect(() => parseConfig({ ...roberta, max_position_embeddings: 2 })).to.throw('more than pad_token_id + 1');
  });

  it("reads and writes DistilBERT's own keys", () => {
    const raw = {
      model_type: 'distilbert',
      dim: 96,
      n_layers: 2,
      n_heads: 4,
      hidden_dim: 154,
      seq_classif_dropout: 0.3,
    };
    const config = parseConfig({ ...raw, sinusoidal_pos_embds: true });
    expect(config).to.include({ hiddenSize: 96, layers: 2, heads: 4, feedForwardSize: 154, classifierDropout: 0.3 });
    expect(config).to.include({ embeddingSize: 96, typeVocabSize: 0, layerNormEps: 1e-12 });
    const written = configToJson(config, ['a', 'b'], 'classifier', 'float32');
    expect(written).to.include({ ...raw, sinusoidal_pos_embds: true });
    expect(written.architectures).to.deep.equal(['DistilBertForSequenceClassification']);
    expect(written).to.not.have.any.keys('hidden_size', 'type_vocab_size', 'layer_norm_eps');
  });

  it("reads the size of ELECTRA's embeddings", () => {
    expect(parseConfig({ model_type: 'electra' })).to.include({ embeddingSize: 128, hiddenSize: 256 });
  });

  it('takes a file from before there was a model_type', () => {
    expect(parseConfig({ architectures: ['BertForMaskedLM'] }).layers).to.equal(12);
  });

  describe('is refused', () => {
    const refused: [string, Record<string, unknown>, string][] = [
      ['another model_type', { model_type: 'mpnet' }, '"electra" in config.json but found "mpnet"'],
      ['no model_type', { model_type: undefined }, 'found none'],
      ['another architecture without model_type', { model_type: null, architectures: ['GPT2'] }, 'found none'],
      [
        'another activation',
        { hidden_act: 'quick_gelu' },
        '"silu", "swish" for hidden_act in config.json but found "quick_gelu"',
      ],
      ['an activation that is cut off', { hidden_act: 'gelu_10' }, 'but found "gelu_10"'],
      ['relative positions', { position_embedding_type: 'relative_key' }, 'position_embedding_type'],
      ['a decoder', { is_decoder: true }, 'is_decoder'],
      ['cross-attention', { add_cross_attention: true }, 'add_cross_attention'],
      ['no layers', { num_hidden_layers: 0 }, 'num_hidden_layers'],
      ['layers without end', { num_hidden_layers: 1e12 }, 'from 1 to 10000 for num_hidden_layers'],
      ['a size that is text', { hidden_size: '768' }, 'Expected a positive integer for hidden_size'],
      ['half a head', { num_attention_heads: 2.5 }, 'but found 2.5'],
      ['heads that do not divide', { num_attention_heads: 5 }, 'a multiple of num_attention_heads, which is 5,'],
      ['a negative size', { vocab_size: -1 }, 'vocab_size'],
      ['a size beyond counting', { vocab_size: 2 ** 60 }, 'vocab_size'],
      ['eps 0', { layer_norm_eps: 0 }, 'layer_norm_eps'],
      ['an eps beyond fp32', { layer_norm_eps: 1e300 }, 'layer_norm_eps'],
      ['an infinite range', { initializer_range: 1e300 }, 'initializer_range'],
      ['dropout 1', { hidden_dropout_prob: 1 }, 'a number from 0 to below 1 for hidden_dropout_prob'],
      ['dropout that is text', { classifier_dropout: 'a lot' }, 'classifier_dropout'],
      ['a negative range', { initializer_range: -1 }, 'initializer_range'],
      ['a padding token outside the vocabulary', { pad_token_id: 30522 }, 'pad_token_id'],
      ['a negative padding token', { pad_token_id: -1 }, 'pad_token_id'],
      ['class names under no numbers', { id2label: { 0: 'a', b: 'b' } }, 'id2label'],
      ['two names for one class', { id2label: { 0: 'a', '00': 'b' } }, 'id2label'],
      ['class names that are a list', { id2label: ['a', 'b'] }, 'id2label'],
      ['class names that are numbers', { id2label: { 0: 1, 1: 2 } }, 'id2label'],
      ['no class names', { id2label: {} }, 'id2label'],
      ['one name for two classes', { id2label: { 0: 'a', 1: 'a' } }, 'distinct names for id2label'],
      ['classes without end', { num_labels: 1e15 }, 'num_labels'],
      ['a problem_type that is no text', { problem_type: 1 }, 'problem_type'],
      ['a temperature that is none', { bertune: { temperature: 0 } }, 'a positive number for temperature'],
      ['thresholds that are no shares', { bertune: { thresholds: { a: 2 } } }, 'numbers from 0 to 1 for thresholds'],
    ];
    for (const [what, change, message] of refused) {
      it(`for ${what}`, async () => {
        await expectRefusal(() => parseConfig({ model_type: 'bert', ...change }), 'CHECKPOINT_INVALID', message);
      });
    }

    it('where it is missing or no JSON object', async () => {
      const write = (text: string | Uint8Array) => writeFile(directory.path('config.json'), text);
      const read = () => readConfig(directory.path());
      await expectRefusal(read(), 'NOT_FOUND', 'config.json');
      await write('{"model_type": "bert",');
      await expectRefusal(read(), 'CHECKPOINT_INVALID', 'Expected JSON in', 'config.json');
      await write('["bert"]');
      await expectRefusal(read(), 'CHECKPOINT_INVALID', 'Expected a JSON object in', 'config.json');
      await write('');
      await expectRefusal(read(), 'CHECKPOINT_INVALID', 'Expected JSON in');
      await write(Buffer.from('{"model_type": "b\xe9rt"}', 'latin1'));
      await expectRefusal(read(), 'CHECKPOINT_INVALID', 'UTF-8');
      await expectRefusal(readConfig(''), 'INVALID_OPTION', 'directory');
    });
  });

  describe('is written', () => {
    /** That of the model, which may have another task than the one that its file was for. */
    const PROBLEM_TYPE = 'single_label_classification';
    const write = (config: ModelConfig, labels = config.labels!, head: 'classifier' | 'probe' = 'classifier') =>
      formatJson(configToJson({ ...config, problemType: PROBLEM_TYPE }, labels, head, 'float32'), {
        sortKeys: true,
        floats: FLOAT_KEYS,
      });

    it('as transformers writes it, but for what has changed', async () => {
      for (const name of [
        ['parity', 'checkpoint'],
        ['checkpoints', 'plain'],
        ['checkpoints', 'f16'],
      ]) {
        const text = await readFile(fixture(...name, 'config.json'), 'utf8');
        const expected = text
          .replace(/"dtype": "\w+"/, '"dtype": "float32"')
          .replace('"tie_word', '"problem_type": "single_label_classification",\n  "tie_word');
        expect(write(await readConfig(fixture(...name)))).to.equal(expected);
      }
    });

    it('with the new classes, and without what would contradict it', () => {
      const raw = {
        model_type: 'bert',
        architectures: ['BertForMaskedLM'],
        torch_dtype: 'float16',
        num_labels: 5,
        _num_labels: 5,
        _name_or_path: '/home/me',
        gradient_checkpointing: false,
        problem_type: 'regression',
        bertune: { head: 'probe' },
      };
      const text = write(parseConfig(raw), ['no', '__proto__', '1']);
      const written = JSON.parse(text) as Record<string, unknown>;
      expect(written).to.include({ dtype: 'float32', gradient_checkpointing: false });
      expect(written).to.deep.include({
        architectures: ['BertForSequenceClassification'],
        problem_type: 'single_label_classification',
        id2label: { 0: 'no', 1: '__proto__', 2: '1' },
      });
      expect(Object.entries(written.label2id as object).sort()).to.deep.equal([
        ['1', 2],
        ['__proto__', 1],
        ['no', 0],
      ]);
      for (const key of ['torch_dtype', 'num_labels', '_num_labels', '_name_or_path', 'bertune']) {
        expect(written).not.to.have.property(key);
      }
      expect(parseConfig(written).labels).to.deep.equal(['no', '__proto__', '1']);
    });

    it('with floats that stay floats in Python', () => {
      const text = write(parseConfig({ model_type: 'bert', hidden_dropout_prob: 0, classifier_dropout: 0 }), [
        'a',
        'b',
      ]);
      expect(text).to.include('\n  "hidden_dropout_prob": 0.0,\n');
      expect(text).to.include('\n  "classifier_dropout": 0.0,\n');
      expect(text).to.include('\n  "layer_norm_eps": 1e-12,\n');
      expect(text).to.include('\n  "hidden_size": 768,\n');
    });

    it('with a mark for the probe head', () => {
      const written = JSON.parse(write(parseConfig({ model_type: 'bert' }), ['a', 'b'], 'probe')) as object;
      expect(written).to.deep.include({ bertune: { head: 'probe' } });
    });

    it('never with labels that are none', async () => {
      await expectRefusal(() => write(parseConfig({ model_type: 'bert' }), []), 'INVALID_OPTION', 'labels');
      await expectRefusal(() => write(parseConfig({ model_type: 'bert' }), ['a', 'a']), 'INVALID_OPTION', 'labels');
    });
  });
});
