// SPDX-License-Identifier: MIT
// Each call on a file does what its description says.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { alloc, backend, configure, open, stats, syncDirectory, version } from 'uvdio';
import { filled, folder, fresh, pattern, run } from './lib.mjs';

test('pages go out and come back', async () => {
  const fh = await open(fresh(), 'w+');
  const page = alloc(8192);
  pattern(0, 8192).copy(page);
  assert.equal(await fh.write(page, 4096), 8192);
  assert.equal(await fh.size(), 12288);
  const back = alloc(8192);
  assert.equal(await fh.readInto(back, 4096), 8192);
  assert.deepEqual(back, page);
  assert.deepEqual(await fh.read({ offset: 4096, length: 8192 }), page);
  await fh.close();
  assert.deepEqual(fs.readFileSync(fh.path).subarray(4096), Buffer.from(page));
});

test('read() takes any offset and length', async () => {
  const fh = await open(filled(20000));
  for (const [offset, length] of [[0, 1], [1, 1], [4095, 2], [4096, 4096], [5, 12000], [8191, 1]]) {
    assert.deepEqual(await fh.read({ offset, length }), pattern(offset, length));
  }
  assert.deepEqual(await fh.read({ offset: 19990, length: 100 }), pattern(19990, 10));
  assert.equal((await fh.read({ offset: 30000, length: 10 })).length, 0);
  assert.equal((await fh.read({ offset: 0, length: 0 })).length, 0);
  assert.deepEqual(await fh.read({ offset: 5n, length: 6n }), pattern(5, 6));
  assert.deepEqual(await fh.readFile(), pattern(0, 20000));
  await fh.close();
});

test('read() gives a Buffer, whose memory is aligned below', async () => {
  const fh = await open(filled(4096));
  const bytes = await fh.read({ length: 4096 });
  assert.ok(Buffer.isBuffer(bytes));
  assert.equal(bytes.toString('latin1').length, 4096);
  await fh.close();
});

test('readInto() takes a part of alloc(), of any view', async () => {
  const fh = await open(filled(12288));
  const memory = alloc(12288);
  assert.equal(await fh.readInto(memory.subarray(4096, 8192), 8192), 4096);
  assert.deepEqual(memory.subarray(4096, 8192), pattern(8192, 4096));
  assert.ok(memory.subarray(0, 4096).every((byte) => byte === 0));
  const view = new DataView(memory.buffer, 8192, 4096);
  assert.equal(await fh.readInto(view, 0), 4096);
  assert.deepEqual(memory.subarray(8192), pattern(0, 4096));
  await fh.close();
});

test('write() copies what is not of alloc(), and counts it', async () => {
  const fh = await open(fresh(), 'w+');
  const before = stats().copied;
  const bytes = pattern(0, 4096);
  const written = fh.write(bytes, 0);
  bytes.fill(0);
  await written;
  assert.equal(stats().copied - before, 4096);
  await fh.write(alloc(4096), 4096);
  await fh.write(new Float64Array(512), 8192);
  assert.equal(stats().copied - before, 8192);
  assert.deepEqual(await fh.read({ length: 4096 }), pattern(0, 4096));
  assert.equal(await fh.write(Buffer.alloc(0), 0), 0);
  await fh.close();
});

test('sizes, space and holes', async () => {
  const fh = await open(fresh(), 'w+');
  await fh.write(pattern(0, 16384), 0);
  await fh.truncate(10000);
  assert.equal(await fh.size(), 10000);
  await fh.preallocate(0, 32768, { space: 'keepSize' });
  assert.equal(await fh.size(), 10000);
  await fh.preallocate(0, 32768);
  assert.equal(await fh.size(), 32768);
  await fh.punchHole(0, 4096);
  await fh.zeroRange(4096, 10);
  assert.ok((await fh.read({ length: 4106 })).every((byte) => byte === 0));
  assert.deepEqual(await fh.read({ offset: 4106, length: 10 }), pattern(4106, 10));
  const stat = await fh.stat();
  const real = fs.statSync(fh.path, { bigint: true });
  assert.equal(stat.size, 32768);
  assert.equal(stat.ino, real.ino);
  assert.equal(stat.mode, Number(real.mode));
  assert.ok(Math.abs(stat.mtimeMs - Number(real.mtimeNs) / 1e6) < 1);
  await fh.truncate();
  assert.equal(await fh.size(), 0);
  await fh.close();
});

test('syncs, durable writes, replace', async () => {
  const fh = await open(fresh(), 'w+');
  await fh.write(pattern(0, 4096), 0, { durable: true });
  await fh.sync();
  await fh.datasync();
  const path = fresh();
  await fh.replace(path);
  assert.equal(fh.path, path);
  assert.deepEqual(fs.readFileSync(path), pattern(0, 4096));
  await syncDirectory(folder);
  await fh.close();
  await assert.rejects(fh.read({ length: 1 }), (error) => error.path === path);
});

test('flags and options of open()', async () => {
  const path = filled(4096);
  await assert.rejects(open(path, 'wx'), { code: 'EEXIST', syscall: 'open', path });
  await (await open(path, 'rw')).close();
  assert.equal(fs.statSync(path).size, 4096);
  await (await open(path, 'w', 0o600)).close();
  assert.equal(fs.statSync(path).size, 0);
  const locked = await open(path, { flags: 'r+', lock: 'exclusive' });
  await assert.rejects(open(path, { lock: 'shared' }), { code: 'UVDIO_ELOCKED', errno: -5013 });
  await locked.close();
  const buffered = await open(path, { flags: 'r+', direct: 'off' });
  assert.equal(buffered.alignment, 1);
  assert.equal(buffered.info().pageCache, 'kept');
  assert.equal(await buffered.write(Buffer.from('any'), 3), 3);
  await buffered.close();
  const sync = await open(Buffer.from(path), { flags: 'r+', dsync: true, direct: 'preferred' });
  assert.equal(sync.info().pageCache, 'bypassed');
  assert.equal(sync.alignment, 4096);
  await sync.close();
  const made = await open(new URL(`file://${fresh()}`), { flags: 'w', mode: 0o640 });
  assert.equal(fs.statSync(made.path).mode & 0o777, 0o640 & ~process.umask());
  await made.close();
});

test('many operations at once', async () => {
  const fh = await open(filled(1 << 20));
  const reads = Array.from({ length: 2000 }, (_, i) => fh.read({ offset: i * 500, length: 500 }));
  (await Promise.all(reads)).forEach((bytes, i) =>
    assert.deepEqual(bytes, pattern(i * 500, 500)));
  assert.equal(stats().pending, 0);
  assert.ok(stats().callbacksPeak <= 32, 'callbacks of a turn');
  await fh.close();
});

test('await using', async (t) => {
  if (Symbol.asyncDispose === undefined) {
    t.skip('this version has no Symbol.asyncDispose');
    return;
  }
  const fh = await open(filled(1));
  await fh[Symbol.asyncDispose]();
  await assert.rejects(fh.size(), { code: 'EBADF' });
});

test('close() may be called twice, and waits', async () => {
  const fh = await open(filled(1 << 20));
  const read = fh.read({ length: 1 << 20 });
  const first = fh.close();
  assert.equal(fh.close(), first);
  await first;
  assert.equal((await read).length, 1 << 20);
});

test('configure(), backend(), version', () => {
  assert.throws(() => configure({ depth: 8 }), /EBUSY: .* before the first operation/);
  assert.match(backend().name, /^(ring|aio|pool|memory)$/);
  assert.match(version, /^\d+\.\d+\.\d+$/);
});

for (const name of ['ring', 'aio', 'pool', 'memory']) {
  test(`the same on ${name}`, (t) => {
    const { status, stdout, stderr } = run(`
      try {
        uvdio.configure({ backend: '${name}', depth: 8, callbacksPerTurn: 4 });
      } catch (error) {
        console.log(error.code, error.message);
        process.exit(77);
      }
      const fh = await uvdio.open(file, 'w+');
      await fh.write(Buffer.alloc(65536, 'x'), 0);
      const reads = await Promise.all(Array.from({ length: 100 }, (_, i) =>
        fh.read({ offset: i, length: 1000 })));
      await fh.close();
      console.log(uvdio.backend().name, reads.every((bytes) => bytes.toString() ===
        'x'.repeat(1000)), uvdio.stats().callbacksPeak <= 4);`);
    if (status === 77) {
      assert.match(stdout, /^UVDIO_EBACKEND/);
      t.skip(`no ${name} here`);
      return;
    }
    assert.equal(stderr, '');
    assert.equal(stdout, `${name} true true\n`);
    assert.equal(status, 0);
  });
}
