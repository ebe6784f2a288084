/** Command lines that are shown at the end of a command's help. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  train: [
    'bertune train --data reviews/ --output my-model',
    'bertune train --train-file train.csv --test-file test.csv --method lora --rank 16 --output my-adapter',
    'bertune train --data reviews/ --output my-model --resume',
  ],
  evaluate: [
    'bertune evaluate --model my-model --test-file test.csv',
    'bertune evaluate --model my-model --data reviews/ --split validation --json',
  ],
  predict: [
    "bertune predict --model my-model 'what a lovely day'",
    'bertune predict --model my-model --no-text < texts.txt > predictions.jsonl',
  ],
  compare: [
    'bertune compare --data reviews/',
    'bertune compare --data reviews/ --methods full,lora8,lora32 --epochs 5',
  ],
  report: ['bertune report my-model', 'bertune report results/quick/results.json --output comparison.html'],
  export: ['bertune export --model my-adapter --output merged'],
  inspect: ['bertune inspect', 'bertune inspect my-model --tensors'],
  build: ['bertune build', 'bertune build --cuda'],
};

/** The examples of a command as its help shows them. */
export function exampleText(command: string): string {
  const lines = EXAMPLES[command] ?? [];
  return lines.length === 0 ? '' : `\nExamples:\n${lines.map((line) => `  ${line}\n`).join('')}`.trimEnd();
}
