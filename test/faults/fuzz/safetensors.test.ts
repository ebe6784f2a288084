import { fuzz } from './fuzz.js';

describe('faults: bad files of the format safetensors', () => {
  fuzz('safetensors', 200);
});
