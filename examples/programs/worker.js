// A model in a worker thread. The worker answers messages { id, texts } with { id, predictions } or { id, code, message }.
//
//   node worker.js model "first text" "second text"
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { TextClassifier } from 'bertune';

if (isMainThread) {
  const [model, ...texts] = process.argv.slice(2);
  const worker = new Worker(new URL(import.meta.url), { workerData: { model } });
  worker.on('error', (error) => {
    throw error;
  });
  worker.on('message', ({ id, predictions, code, message }) => {
    console.log(id, code ? `${code}: ${message}` : JSON.stringify(predictions));
    worker.postMessage('end');
  });
  worker.postMessage({ id: 1, texts });
} else {
  const model = await TextClassifier.load(workerData.model, { threads: 2 });
  parentPort.on('message', async (message) => {
    if (message === 'end') {
      parentPort.close();
      return model.dispose();
    }
    const { id, texts } = message;
    try {
      parentPort.postMessage({ id, predictions: await model.predict(texts) });
    } catch (error) {
      parentPort.postMessage({ id, code: error.code, message: error.message });
    }
  });
}
