import { readdir, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { openPartial, partialSize } from '../../lib/hub/transfer.js';
import { useTemporaryDirectory } from '../lib/files.js';

describe('a partial blob', () => {
  const directory = useTemporaryDirectory();
  const blob = () => directory.path('abc');

  it('is gone on with by one writer; another has a file of its own', async () => {
    await writeFile(`${blob()}.bertune.incomplete`, '12345');
    const first = await openPartial(blob());
    const second = await openPartial(blob());
    expect([first.shared, second.shared]).to.deep.equal([true, false]);
    expect((await first.file.stat()).size).to.equal(5);
    expect((await second.file.stat()).size).to.equal(0);
    await first.file.close();
    const third = await openPartial(blob());
    expect(third).to.include({ shared: true, path: first.path });
    await second.file.close();
    await third.file.close();
  });

  it('shows how far its writers are', async () => {
    expect(await partialSize(blob())).to.equal(0);
    await writeFile(directory.path('abd.bertune.incomplete'), '1');
    await writeFile(blob(), '12');
    const [first, second] = [await openPartial(blob()), await openPartial(blob())];
    await writeFile(first.path, '123');
    await writeFile(second.path, '1234');
    expect(await partialSize(blob())).to.equal(7);
    await first.file.close();
    await second.file.close();
    expect(await readdir(directory.path())).to.have.length(4);
  });
});
