/** A fenced block of code in a Markdown file. */
export interface Block {
  /** The word behind the fence: `sh`, `js`, `ts`, ... */
  language: string;
  code: string;
  /** Where its first line of code stands, counted from 1. */
  line: number;
}

/** The fenced blocks of a document, in order. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | undefined;
  for (const [index, line] of markdown.split('\n').entries()) {
    const fence = line.match(/^```(\S*)/);
    if (!fence) {
      if (open) open.code += `${line}\n`;
    } else if (open) {
      blocks.push(open);
      open = undefined;
    } else {
      open = { language: fence[1] ?? '', code: '', line: index + 2 };
    }
  }
  if (open) throw new Error(`the block of line ${open.line} is not closed`);
  return blocks;
}

/** The name that a block gives itself in its first line, `// server.mjs`; such a file is written, for later blocks to run. */
export function fileName({ code }: Block): string | undefined {
  return code.match(/^\/\/ ([\w.-]+\.(?:mjs|cjs|ts))\n/)?.[1];
}
