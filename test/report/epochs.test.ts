import { expect } from 'chai';
import { epochTable } from '../../lib/report/epochs.js';

const evaluation = (epoch: number, step: number, loss: number) => ({
  epoch,
  step,
  eval_loss: loss,
  eval_accuracy: 0.5,
  eval_precision: 0.25,
  eval_recall: 0.125,
  eval_f1_macro: 0.0625,
});

describe('epochTable', () => {
  it('has the columns of the notebook', () => {
    expect(epochTable([]).columns.map(({ title }) => title)).to.deep.equal([
      'Epoch',
      'Training Loss',
      'Validation Loss',
      'Accuracy',
      'Precision',
      'Recall',
      'F1 Macro',
    ]);
    expect(epochTable([]).rows).to.deep.equal([]);
  });

  it('joins the loss of an epoch with its evaluation', () => {
    const history = [
      { epoch: 1, step: 10, loss: 1.5 },
      evaluation(1, 10, 1.25),
      { epoch: 2, step: 20, loss: 1 },
      evaluation(2, 20, 0.75),
      { epoch: 2, step: 20, train_loss: 1.25, train_runtime: 3 },
    ];
    expect(epochTable(history).rows).to.deep.equal([
      ['1', '1.5000', '1.2500', '0.5000', '0.2500', '0.1250', '0.0625'],
      ['2', '1.0000', '0.7500', '0.5000', '0.2500', '0.1250', '0.0625'],
    ]);
  });

  it('averages the losses logged since the last evaluation, by the steps each stands for', () => {
    const history = [{ epoch: 0.8, step: 8, loss: 1 }, { epoch: 1, step: 10, loss: 2 }, evaluation(1, 10, 1)];
    expect(epochTable(history).rows[0]?.[1]).to.equal('1.2000');
  });

  it('shows what there is where a loss was not logged or nothing was evaluated', () => {
    expect(epochTable([evaluation(1, 10, 1)]).rows[0]?.slice(0, 3)).to.deep.equal(['1', '-', '1.0000']);
    const steps = [0.5, 1, 1.5, 2].map((epoch, index) => ({ epoch, step: 5 * (index + 1), loss: index }));
    expect(epochTable(steps).rows).to.deep.equal([
      ['1', '0.5000', '-', '-', '-', '-', '-'],
      ['2', '2.5000', '-', '-', '-', '-', '-'],
    ]);
  });
});
