// transformers.js and ONNX Runtime, from a folder of their own.
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** Probabilities of a row of logits. */
function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** What export.py wrote for a precision. */
export const fileOf = (precision) => (precision === 'int8' ? 'model_quantized.onnx' : 'model.onnx');

/**
 * The same model three ways: `logits`, `predict` (tokenizer and session, the fastest) and `pipeline.predict`
 * (text-classification, the usual way). Batches are padded to their longest text.
 *
 * @param {string} modules a folder with bench/peers/onnx/package.json installed
 * @param {string} directory what export.py wrote
 * @param {string} file its model: see fileOf
 */
export async function createPeer(modules, directory, threads, file) {
  const require = createRequire(path.join(modules, 'package.json'));
  const { AutoTokenizer, env, pipeline } = await import(
    pathToFileURL(path.join(modules, 'node_modules/@huggingface/transformers/dist/transformers.node.mjs')).href
  );
  const onnx = require('onnxruntime-node');
  env.allowRemoteModels = false;
  env.localModelPath = `${path.dirname(directory)}/`;
  const name = path.basename(directory);
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' };
  const tokenizer = await AutoTokenizer.from_pretrained(name);
  const session = await onnx.InferenceSession.create(path.join(directory, 'onnx', file), options);
  const classify = await pipeline('text-classification', name, {
    dtype: file === 'model.onnx' ? 'fp32' : 'q8',
    device: 'cpu',
    session_options: options,
  });
  const labels = Object.values(classify.model.config.id2label);

  async function logits(texts) {
    const encoded = tokenizer(texts, { padding: true, truncation: true, max_length: 512 });
    const feeds = {};
    for (const input of session.inputNames) {
      // A tokenizer may leave out token types, which are all 0.
      const { dims } = encoded.input_ids;
      const data = encoded[input]?.data ?? new BigInt64Array(encoded.input_ids.size);
      feeds[input] = new onnx.Tensor('int64', data, dims);
    }
    return (await session.run(feeds)).logits.data;
  }

  async function predict(texts) {
    const rows = await logits(texts);
    return texts.map((_, i) => {
      const scores = softmax(Array.from(rows.subarray(i * labels.length, (i + 1) * labels.length)));
      const best = scores.indexOf(Math.max(...scores));
      const named = Object.fromEntries(labels.map((label, c) => [label, scores[c]]));
      return { label: labels[best], score: scores[best], scores: named };
    });
  }

  return {
    logits,
    predict,
    pipeline: { predict: (texts) => classify(texts, { top_k: labels.length }) },
    async close() {
      await session.release();
      await classify.dispose();
    },
  };
}
