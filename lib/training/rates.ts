import type { ParameterRow } from '../architectures/rows.js';
import type { MethodPlan } from '../methods/index.js';
import type { Role } from '../native/roles.js';

/** What makes token vectors, below the layers. */
const EMBEDDINGS: readonly Role[] = ['word', 'position', 'token_type', 'embedding_norm', 'embedding_projection'];

/**
 * The plan of a run whose learning rates fall from the head to the embeddings, by a factor a layer.
 *
 * @param decay the factor; 1: all layers learn alike
 * @param layers of the encoder
 */
export function withLayerwiseDecay(plan: MethodPlan, decay: number, layers: number): MethodPlan {
  const parameters = plan.parameters.map((row) => ({ ...row, rate: row.rate * decay ** depthOf(row, layers) }));
  return { ...plan, parameters };
}

/** How far below the head a parameter is: 0 of what is outside of layers and embeddings, 1 of the last layer, L + 1 of embeddings. */
function depthOf({ role, layer }: ParameterRow, layers: number): number {
  if (EMBEDDINGS.includes(role)) return layers + 1;
  return layer < 0 ? 0 : layers - layer;
}
