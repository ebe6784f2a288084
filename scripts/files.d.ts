export function listFiles(paths: readonly string[], pattern?: RegExp): string[];
