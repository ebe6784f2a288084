/**
 * What an adapter's base_model_name_or_path is: the model that comes with the package, a model of the hub, or a folder, whose
 * path is relative to the adapter's directory.
 */
export type BaseKind = 'built-in' | 'hub' | 'folder';

const BASE_KINDS: readonly unknown[] = ['built-in', 'hub', 'folder'] satisfies BaseKind[];

/** Metadata key under which the kind is kept; PEFT passes over it. */
const BASE_KEY = 'bertune.base';

/** The kind of base from an adapter's metadata; null where it says nothing, as in PEFT's files. */
export function readBaseKind(metadata: Readonly<Record<string, string>>): BaseKind | null {
  const kind = Object.hasOwn(metadata, BASE_KEY) ? metadata[BASE_KEY] : undefined;
  return BASE_KINDS.includes(kind) ? (kind as BaseKind) : null;
}

/** The metadata that says it. */
export function baseMetadata(kind: BaseKind | null | undefined): Record<string, string> {
  return kind ? { [BASE_KEY]: kind } : {};
}
