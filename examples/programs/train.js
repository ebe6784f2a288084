// Trains a classifier on a CSV file with the columns text and label, and saves it.
//
//   node train.js tickets.csv tickets-model
import { loadDataset, lora, TextClassifier, Trainer } from 'bertune';

const [file, output, model = 'bert-mini'] = process.argv.slice(2);
if (!file || !output) throw new Error('Usage: node train.js FILE OUTPUT [MODEL]');

// A tenth of the rows each for validation and test, if the file is all there is.
const data = await loadDataset(file, { holdout: true });
const classifier = await TextClassifier.load(model, { labels: data.labels });

const trainer = new Trainer(classifier, { method: lora({ rank: 8 }), loadBestModel: true });
trainer.on('log', ({ epoch, loss }) => console.log(`epoch ${epoch.toFixed(2)}  loss ${loss.toFixed(3)}`));
const { advice } = await trainer.train(data.train, { validation: data.validation });

const { accuracy, metrics } = await trainer.evaluate(data.test);
console.log(`accuracy ${accuracy.toFixed(3)} on ${data.test.texts.length} held-out texts`);
console.table(metrics.perClass);
for (const line of advice) console.log(`advice: ${line}`);

await classifier.save(output, { overwrite: true });
await classifier.dispose();
