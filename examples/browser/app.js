import { env, pipeline } from '@huggingface/transformers';

env.allowLocalModels = true;
env.allowRemoteModels = false;
env.localModelPath = './models/';
env.backends.onnx.wasm.wasmPaths = new URL('./node_modules/onnxruntime-web/dist/', import.meta.url).href;

const [text, scores, status] = ['text', 'scores', 'status'].map((id) => document.getElementById(id));

/** A row of the list: a label, a bar and a share in percent. */
function row({ label, score }) {
  const [name, bar, share] = ['dt', 'meter', 'dd'].map((tag) => document.createElement(tag));
  name.textContent = label;
  bar.value = score;
  share.textContent = `${Math.round(100 * score)}%`;
  return [name, bar, share];
}

try {
  // In models/emotions: config.json, the tokenizer, onnx/model_quantized.onnx.
  const classify = await pipeline('text-classification', 'emotions', { device: 'wasm', dtype: 'q8' });

  const show = async () => {
    const value = text.value.trim();
    if (value === '') return scores.replaceChildren();
    const start = performance.now();
    const found = await classify(value, { top_k: null });
    if (value !== text.value.trim()) return;
    scores.replaceChildren(...found.flatMap(row));
    status.textContent = `in ${(performance.now() - start).toFixed(1)} ms`;
  };

  text.addEventListener('input', show);
  await show();
} catch (error) {
  status.textContent = `${error.message} Train the model first: npm run train`;
}
