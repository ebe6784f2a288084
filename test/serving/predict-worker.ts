import { parentPort, workerData } from 'node:worker_threads';
import { PredictionService } from '../../lib/api/serving/service.js';
import { TextClassifier } from '../../lib/model/classifier.js';

/** What a worker of workers.test.ts is told. */
export interface Work {
  model: string;
  texts: readonly string[];
  /** How often it predicts them; Infinity: until it is terminated. */
  rounds: number;
}

const { model, texts, rounds } = workerData as Work;
await using classifier = await TextClassifier.load(model, { device: 'cpu', threads: 1 });
await using service = new PredictionService(classifier);
for (let round = 0; round < rounds; round++) {
  const scores = (await service.predict(texts)).map(({ score }) => score);
  parentPort!.postMessage(scores);
}
