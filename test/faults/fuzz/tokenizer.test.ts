import { fuzz } from './fuzz.js';

describe('faults: bad files of the format tokenizer', () => {
  fuzz('tokenizer', 200);
});
