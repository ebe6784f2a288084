// Runs full fine-tuning steps at BERT-base's dimensions and nothing else, for a profiler: STEPS of them to warm up, then as many again.
//   node scripts/gpu/steps.js STEPS
import { readTexts } from '../../bench/step/data.js';
import { measureTraining } from '../../bench/step/measure.js';
import { createSession, initialise } from '../../bench/step/session.js';
import { modelConfig } from '../../bench/support/dimensions.js';
import { runMain } from '../../bench/support/main.js';
import { METHODS } from '../../bench/support/methods.js';

await runMain(async () => {
  const steps = Number(process.argv[2]);
  const config = modelConfig('base');
  const texts = await readTexts({ config });
  const session = await createSession([METHODS.full], config, { device: 'cuda', precision: 'bf16', threads: 1 });
  await initialise(session);
  const { nodes_per_step } = await measureTraining(session, texts.train, {
    batchSize: 16,
    steps,
    warmUp: steps,
    lookAhead: 1,
  });
  console.log(`${nodes_per_step} nodes a step`);
  await session.retire();
});
