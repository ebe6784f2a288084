export function builtOneDnn(): string | undefined;
export function findArchive(source?: string, folder?: string): Promise<string>;
