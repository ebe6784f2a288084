import { expect } from 'chai';
import { epochTable } from '../../lib/report/metrics.js';
import { epochLine, logLine } from '../../lib/report/run-lines.js';

const epoch = (number: number, step: number, loss: number) => ({
  epoch: number,
  step,
  train_loss: loss,
  train_accuracy: 0.5,
});

const evaluation = (number: number, step: number, loss: number) => ({
  epoch: number,
  step,
  eval_loss: loss,
  eval_accuracy: 0.5,
  eval_precision: 0.25,
  eval_recall: 0.125,
  eval_f1_macro: 0.0625,
});

describe('epochTable', () => {
  it('has the columns of the notebook', () => {
    const table = epochTable({ epoch_history: [], log_history: [] });
    expect(table.columns.map(({ title }) => title)).to.deep.equal([
      'Epoch',
      'Training Loss',
      'Validation Loss',
      'Accuracy',
      'Precision',
      'Recall',
      'F1 Macro',
    ]);
    expect(table.rows).to.deep.equal([]);
  });

  it('joins each epoch with its evaluation', () => {
    const log_history = [
      { epoch: 1, step: 10, loss: 9 },
      evaluation(1, 10, 1.25),
      evaluation(2, 20, 0.75),
      { epoch: 2, step: 20, train_loss: 1.25, train_runtime: 3 },
    ];
    expect(epochTable({ epoch_history: [epoch(1, 10, 1.5), epoch(2, 20, 1)], log_history }).rows).to.deep.equal([
      ['1', '1.5000', '1.2500', '0.5000', '0.2500', '0.1250', '0.0625'],
      ['2', '1.0000', '0.7500', '0.5000', '0.2500', '0.1250', '0.0625'],
    ]);
  });

  it('leaves open an epoch that was not evaluated, has no columns where none was, and shows a part of an epoch as such', () => {
    const epoch_history = [epoch(1, 10, 1.5), epoch(1.25, 13, 1)];
    const bare = epochTable({ epoch_history, log_history: [{ epoch: 1, step: 10, loss: 9 }] });
    expect(bare.columns.map(({ title }) => title)).to.deep.equal(['Epoch', 'Training Loss']);
    expect(bare.rows).to.deep.equal([
      ['1', '1.5000'],
      ['1.25', '1.0000'],
    ]);
    expect(epochTable({ epoch_history, log_history: [evaluation(1, 10, 1.25)] }).rows[1]).to.deep.equal([
      ...['1.25', '1.0000', '-', '-', '-', '-', '-'],
    ]);
  });
});

describe('lines about training', () => {
  it('say what was logged', () => {
    const row = { epoch: 0.5, step: 10, loss: 1.5, grad_norm: 2.25, learning_rate: 0.000992063492 };
    expect(logLine(row)).to.equal('epoch 0.50  step 10  loss 1.5000  gradient norm 2.250  learning rate 9.921e-4');
  });

  it('say how an epoch went, with its evaluation where there was one', () => {
    const summary = { epoch: 2, epochs: 3, step: 20, trainLoss: 1, trainAccuracy: 0.5, evaluation: null };
    expect(epochLine(summary)).to.equal('epoch 2/3  step 20  training loss 1.0000');
  });
});
