// Loads a model with device 'cuda' and with 'auto' and prints what came of it: node --import tsx cuda-library-program.ts MODEL

import { BertuneError } from '../../lib/errors.js';
import { type LoadOptions, TextClassifier } from '../../lib/model/classifier.js';

async function outcome(device: NonNullable<LoadOptions['device']>) {
  try {
    await using model = await TextClassifier.load(process.argv[2]!, { device });
    await model.predict('a good day');
    return { device: model.device, code: 'none', message: '' };
  } catch (error) {
    if (!(error instanceof BertuneError)) throw error;
    return { device, code: error.code, message: error.message };
  }
}

console.log(JSON.stringify({ cuda: await outcome('cuda'), auto: await outcome('auto') }));
