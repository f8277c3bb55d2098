// SPDX-License-Identifier: MIT
// readv() and writev(): several buffers in one request.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { alloc, open, stats } from 'uvdio';
import { collect, filled, fresh, pattern, settled } from './lib.mjs';

const PAGE = 4096;

const pages = (...counts) => counts.map((count) => alloc(count * PAGE));

function spread(buffers, bytes) {
  let offset = 0;
  for (const buffer of buffers) {
    offset += bytes.copy(buffer, 0, offset);
  }
  return buffers;
}

test('readv() fills one buffer after the other', async () => {
  const fh = await open(filled(10 * PAGE));
  const block = alloc(4 * PAGE);
  const list = [block.subarray(2 * PAGE, 3 * PAGE), ...pages(3), block.subarray(0, PAGE)];
  assert.equal(await fh.readv(list, PAGE), 5 * PAGE);
  assert.deepEqual(Buffer.concat(list), pattern(PAGE, 5 * PAGE));
  assert.ok(block.subarray(PAGE, 2 * PAGE).every((byte) => byte === 0), 'and nothing else');
  const last = pages(1, 1, 1);
  assert.equal(await fh.readv(last, 8 * PAGE), 2 * PAGE, 'until the file ends');
  assert.deepEqual(Buffer.concat(last.slice(0, 2)), pattern(8 * PAGE, 2 * PAGE));
  await fh.close();
});

test('writev() writes one buffer after the other, of any memory', async () => {
  const path = fresh();
  const fh = await open(path, 'w+');
  const bytes = pattern(0, 8 * PAGE);
  const ours = spread(pages(2, 1), bytes.subarray(0, 3 * PAGE));
  const view = alloc(2 * PAGE);
  bytes.copy(view, 100, 7 * PAGE);
  const list = [...ours, bytes.subarray(3 * PAGE, 6 * PAGE), Buffer.alloc(0),
    new DataView(bytes.buffer, bytes.byteOffset + 6 * PAGE, PAGE), view.subarray(100, 100 + PAGE)];
  const before = stats().copied;
  assert.equal(await fh.writev(list, 0, { durable: true }), 8 * PAGE);
  assert.equal(stats().copied - before, 5 * PAGE, 'what is not aligned memory of alloc()');
  assert.deepEqual(fs.readFileSync(path), bytes);
  assert.equal(await fh.writev([ours[1], ours[1]], 0), 2 * PAGE, 'the same bytes twice');
  const second = fs.readFileSync(path).subarray(PAGE, 2 * PAGE);
  assert.deepEqual(second, bytes.subarray(2 * PAGE, 3 * PAGE));
  await fh.close();
});

test('more buffers than a system call takes', async () => {
  const fh = await open(fresh(), 'w+');
  const count = 3000;
  const bytes = pattern(0, count * PAGE);
  const all = alloc(count * PAGE);
  bytes.copy(all);
  const list = Array.from({ length: count }, (_, i) => all.subarray(i * PAGE, (i + 1) * PAGE));
  assert.equal(await fh.writev(list, 0), count * PAGE);
  all.fill(0);
  assert.equal(await fh.readv(list.reverse(), 0), count * PAGE);
  assert.deepEqual(list[0], bytes.subarray(0, PAGE));
  assert.deepEqual(list[count - 1], bytes.subarray((count - 1) * PAGE));
  const many = Array.from({ length: 65537 }, () => all.subarray(0, PAGE));
  await assert.rejects(fh.writev(many, 0), { code: 'E2BIG' });
  await fh.close();
});

test('bytes of a vector are held as those of one buffer', async () => {
  const fh = await open(filled(8 * PAGE), 'r+');
  const [a, b, c] = pages(1, 1, 1);
  const reading = fh.readv([a, b], 0);
  await assert.rejects(fh.write(b, 0), { code: 'EBUSY', message: /these bytes of the buffer/ });
  await assert.rejects(fh.writev([c, b], 0), { code: 'EBUSY' });
  await assert.rejects(fh.readInto(a, 0), { code: 'EBUSY' });
  assert.equal(await reading, 2 * PAGE);
  await assert.rejects(fh.readv([c, c], 0), { code: 'EBUSY' }, 'twice in one');
  const writing = fh.writev([a, b], 0);
  await assert.rejects(fh.readv([c, b], 0), { code: 'EBUSY' });
  assert.equal(await fh.write(b, PAGE), PAGE, 'writes may share');
  assert.equal(await writing, 2 * PAGE);
  assert.equal(await fh.readv([a, b, c], 0), 3 * PAGE, 'nothing is held any more');
  await fh.close();
});

test('vectors lose no memory', async () => {
  const fh = await open(filled(8 * PAGE), 'r+');
  const round = async () => {
    const list = pages(1, 2, 1);
    await Promise.all([fh.readv(list, 0), fh.writev([Buffer.alloc(PAGE), Buffer.alloc(PAGE)], 0)]);
    await settled(fh.readv([list[0], list[0]], 0));
    await settled(fh.writev(list, 0, { signal: AbortSignal.abort() }));
  };
  const rounds = async () => {
    for (let i = 0; i < 50; i++) {
      await round();
    }
    await collect();
    return stats().allocations;
  };
  const before = await rounds(); // with what the library keeps for the next transfers
  assert.equal(await rounds(), before);
  await fh.close();
});

test('wrong vectors', async () => {
  const path = filled(8 * PAGE);
  const fh = await open(path, 'r+');
  const [page] = pages(1);
  assert.equal(await fh.readv([], 0), 0);
  assert.equal(await fh.writev([], 0), 0);
  await assert.rejects(fh.readv(page, 0),
    { message: 'buffers is Buffer; it has to be an array of them' });
  await assert.rejects(fh.writev([page, 'text'], 0),
    { code: 'ERR_INVALID_ARG_TYPE', message: /buffers\[1\] is 'text'/ });
  await assert.rejects(fh.readv([page, page.subarray(0, 100)], 0),
    { code: 'UVDIO_EALIGN', path, message: /length of buffers\[1\] 100 is not a multiple/ });
  await assert.rejects(fh.writev([page], 1), { code: 'UVDIO_EALIGN', message: /offset 1 / });
  await assert.rejects(fh.readv([page, Buffer.alloc(PAGE)], 0),
    { code: 'UVDIO_EALIGN', message: /readv\(\) take memory of alloc\(\)/ });
  await assert.rejects(fh.readv([page], 0, { durable: true }),
    { message: /readv\(\) has no option 'durable'/ });
  const signal = AbortSignal.abort();
  await assert.rejects(fh.writev([page], 0, { signal }), { code: 'ABORT_ERR' });
  await fh.close();
  await assert.rejects(fh.readv([page], 0), { code: 'EBADF' });
  await assert.rejects(fh.writev([page], 0), { code: 'EBADF' });
});
