import { formatMebibytes } from '../format.js';
import type { HubProgress } from '../hub/index.js';
import { isTrue } from '../hub/settings.js';
import type { Progress } from './progress.js';

/**
 * Shows what comes from the hub: a line when it starts, and on a terminal how far it is, unless
 * HF_HUB_DISABLE_PROGRESS_BARS says no.
 *
 * @returns a function to pass as `onProgress`
 */
export function downloadProgress(progress: Progress): (state: HubProgress) => void {
  const bars = !isTrue(process.env.HF_HUB_DISABLE_PROGRESS_BARS);
  const announced = new Set<string>();
  return ({ source, file, receivedBytes, totalBytes }) => {
    if (!announced.has(source)) {
      announced.add(source);
      progress.note(`fetching ${source} from the Hugging Face hub`);
    }
    const mebibytes = (bytes: number) => Math.floor(bytes / 2 ** 20);
    if (bars && receivedBytes < totalBytes) {
      const state = { done: mebibytes(receivedBytes), total: Math.ceil(totalBytes / 2 ** 20) };
      progress.update(`${source} ${file} (MiB)`, state);
      return;
    }
    progress.clear();
    if (receivedBytes === totalBytes) progress.note(`fetched ${file}: ${formatMebibytes(totalBytes)} MiB`);
  };
}
