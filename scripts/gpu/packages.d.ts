export function packedPackages(): string[];
