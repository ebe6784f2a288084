// Classifies standard input, one text per line, and writes one JSON object per line. Memory does not grow with the input.
//
//   npx tsx predict.ts model < texts.txt
import { createInterface } from 'node:readline';
import { TextClassifier } from 'bertune';

await using model = await TextClassifier.load(process.argv[2] ?? 'model');

for await (const prediction of model.predictStream(createInterface({ input: process.stdin }))) {
  console.log(JSON.stringify(prediction));
}
