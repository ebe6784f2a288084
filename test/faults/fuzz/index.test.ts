import { fuzz } from './fuzz.js';

describe('faults: bad files of the format index', () => {
  fuzz('index', 200);
});
