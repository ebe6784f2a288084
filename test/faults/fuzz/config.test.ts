import { fuzz } from './fuzz.js';

describe('faults: bad files of the format config', () => {
  fuzz('config', 200);
});
