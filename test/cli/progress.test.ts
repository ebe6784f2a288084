import { expect } from 'chai';
import { bar, Progress, progressLine } from '../../lib/cli/progress.js';
import { colorsFor, isInteractive, type OutputStream } from '../../lib/cli/terminal.js';

const state = { done: 25, total: 100, epoch: 0.75, epochs: 3, loss: 1.23456, accuracy: 0.5, secondsLeft: 125 };

class Recorder implements OutputStream {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 120;

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

describe('progress', () => {
  it('draws bars in eighths', () => {
    expect(bar(0, 4)).to.equal('    ');
    expect(bar(0.5, 4)).to.equal('██  ');
    expect(bar(1 / 32, 4)).to.equal('▏   ');
    expect(bar(0.25 + 7 / 32, 4)).to.equal('█▉  ');
    expect(bar(1, 4)).to.equal('████');
    expect(bar(7, 4)).to.equal('████');
    expect(bar(-1, 4)).to.equal('    ');
  });

  it('shows step, epoch, loss, accuracy and time left', () => {
    expect(progressLine('full', state, 200)).to.equal(
      `full ${bar(0.25, 24)}  25 % 25/100 epoch 0.8/3 loss 1.2346 accuracy 0.500 2:05 left`,
    );
  });

  it('never reaches the width of the terminal, and leaves out the least needed first', () => {
    for (let width = 10; width < 140; width++) {
      expect(progressLine('LoRA r=8', state, width).length).to.be.lessThan(width);
    }
    expect(progressLine('full', state, 80)).to.contain('accuracy');
    expect(progressLine('full', state, 80)).to.not.contain('epoch');
    expect(progressLine('full', state, 40)).to.equal(' 25 % 25/100 loss 1.2346 2:05 left');
    expect(progressLine('full', state, 8)).to.equal(' 25 %');
  });

  it('rewrites one line on a terminal and puts notes above it', () => {
    const stream = new Recorder(true);
    const progress = new Progress({ stream });
    progress.update('full', state);
    const line = stream.text;
    expect(line.startsWith('\r\x1b[K')).to.equal(true);
    progress.update('full', { ...state, done: 26 });
    expect(stream.text, 'drawn again within a tenth of a second').to.equal(line);
    stream.text = '';
    progress.note('a line');
    expect(stream.text.startsWith('\r\x1b[Ka line\n')).to.equal(true);
    expect(stream.text).to.contain('25/100');
    stream.text = '';
    progress.update('full', { ...state, done: 100 });
    expect(stream.text).to.contain('100/100');
    stream.text = '';
    progress.clear();
    progress.note('the end');
    expect(stream.text).to.equal('\r\x1b[Kthe end\n');
  });

  it('writes plain lines elsewhere, and nothing when quiet', () => {
    const stream = new Recorder(false);
    const progress = new Progress({ stream });
    progress.update('full', state);
    progress.note('a line');
    progress.clear();
    expect(stream.text).to.equal('a line\n');
    const silent = new Recorder(true);
    const quiet = new Progress({ stream: silent, quiet: true });
    quiet.update('full', state);
    quiet.note('a line');
    quiet.clear();
    expect(silent.text).to.equal('');
  });

  it('follows TERM, NO_COLOR and FORCE_COLOR', () => {
    const [terminal, file] = [new Recorder(true), new Recorder(false)];
    expect(isInteractive(terminal, { TERM: 'xterm' })).to.equal(true);
    expect(isInteractive(terminal, { TERM: 'dumb' })).to.equal(false);
    expect(isInteractive(file, { TERM: 'xterm' })).to.equal(false);
    expect(colorsFor(terminal, {}).bold('x')).to.equal('\x1b[1mx\x1b[22m');
    expect(colorsFor(terminal, { NO_COLOR: '1' }).bold('x')).to.equal('x');
    expect(colorsFor(file, {}).bold('x')).to.equal('x');
    expect(colorsFor(file, { FORCE_COLOR: '1' }).bold('x')).to.equal('\x1b[1mx\x1b[22m');
  });
});
