import { fuzz } from './fuzz.js';

describe('faults: bad files of the format card', () => {
  fuzz('card', 200);
});
