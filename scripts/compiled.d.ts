export function compiled(): { file: string; stamp: string; isUpToDate: boolean };
