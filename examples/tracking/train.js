import { parseArgs } from 'node:util';
import { loadDataset, lora, TextClassifier, Trainer } from 'bertune';
import { trackWithMlflow } from './mlflow.js';
import { trackWithWandb } from './wandb.js';

const { values: options } = parseArgs({
  options: {
    tracker: { type: 'string', default: 'mlflow' },
    model: { type: 'string', default: 'bert-mini' },
    data: { type: 'string', default: 'goemotions6' },
    steps: { type: 'string', default: '100' },
    output: { type: 'string', default: 'tracked' },
  },
});

const data = await loadDataset(options.data);
const model = await TextClassifier.load(options.model, { labels: data.labels, head: 'fit' });
const trainer = new Trainer(model, {
  ...{ method: lora({ rank: 8 }), maxSteps: Number(options.steps), loggingSteps: 10 },
});
const tracker =
  options.tracker === 'wandb'
    ? trackWithWandb(trainer, { project: 'bertune', name: options.output })
    : await trackWithMlflow(trainer, { experiment: 'bertune', name: options.output });
try {
  await trainer.train(data.train, { validation: data.validation });
  await model.save(options.output, { overwrite: true });
} catch (error) {
  await tracker.finish(error).catch(console.error);
  throw error;
} finally {
  await model.dispose();
}
await tracker.finish();
console.log(`logged to ${options.tracker}, saved to ${options.output}`);
