import { findModel } from '../../lib/hub/index.js';

/* The process of a test: finds the model that it is told to, and ends. */

await findModel(process.argv[2]!);
process.disconnect?.();
