// Trains a classifier of emotions and writes it to models/emotions, where app.js finds it.
import { loadDataset, TextClassifier, Trainer } from 'bertune';

const data = await loadDataset('goemotions6'); // or files of your own
const model = await TextClassifier.load('bert-mini', { labels: data.labels });

const trainer = new Trainer(model, { epochs: 2 });
trainer.on('log', ({ epoch, loss }) => console.log(`epoch ${epoch.toFixed(2)}  loss ${loss.toFixed(3)}`));
await trainer.train(data.train);

const { accuracy } = await trainer.evaluate(data.test);
console.log(`accuracy ${accuracy.toFixed(3)}`);
await model.exportOnnx('models/emotions', { weights: 'int8', overwrite: true });
await model.dispose();
