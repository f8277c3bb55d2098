// SPDX-License-Identifier: MIT
// Wrong calls get an error that says what was wrong and what would be right, and harm nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import * as uvdio from 'uvdio';
import { filled, fresh, run } from './lib.mjs';

const { alloc, open, openLog } = uvdio;

const TYPE = 'ERR_INVALID_ARG_TYPE';
const VALUE = 'ERR_INVALID_ARG_VALUE';

test('open()', async () => {
  await assert.rejects(open(), { code: TYPE, message: /path is undefined; it has to be a string/ });
  await assert.rejects(open(''), { code: VALUE });
  await assert.rejects(open('a\0b'), { code: VALUE, message: /null byte/ });
  await assert.rejects(open(Buffer.from([255])), { code: VALUE, message: /no UTF-8/ });
  await assert.rejects(open('x', 'a'), { code: VALUE, message: /flags is 'a'.*'rw'/ });
  await assert.rejects(open('x', 3), { code: TYPE });
  await assert.rejects(open('x', { flag: 'r' }), { code: VALUE, message: /no option 'flag'/ });
  await assert.rejects(open('x', 'r', 0o10000), { code: VALUE });
  await assert.rejects(open('x', { direct: true }), { code: VALUE, message: /'preferred'/ });
  const path = fresh();
  await assert.rejects(open(path), (error) => {
    assert.equal(error.message, `ENOENT: no such file or directory, open '${path}'`);
    assert.equal(error.code, 'ENOENT');
    assert.equal(error.errno, -2);
    assert.equal(error.syscall, 'open');
    assert.equal(error.path, path);
    assert.match(error.stack, /misuse\.test\.mjs/, 'the stack tells who awaits');
    return true;
  });
});

test('alloc()', () => {
  assert.throws(() => alloc(), { code: TYPE });
  assert.throws(() => alloc(0), { code: VALUE, message: /at least one byte/ });
  assert.throws(() => alloc(-1), { code: VALUE });
  assert.throws(() => alloc(1.5), { code: VALUE });
  assert.throws(() => alloc(2 ** 52), { code: 'ENOMEM' });
  const odd = alloc(5);
  assert.equal(odd.length, 5);
  assert.deepEqual([...odd], [0, 0, 0, 0, 0]);
});

test('reads and writes', async () => {
  const path = filled(8192);
  const fh = await open(path, 'r+');
  await assert.rejects(fh.read(), { code: TYPE, message: /length is undefined/ });
  await assert.rejects(fh.read({ length: -1 }), { code: VALUE });
  await assert.rejects(fh.read({ length: 2 ** 50 }), RangeError);
  await assert.rejects(fh.read({ length: '1' }), { code: TYPE });
  await assert.rejects(fh.read({ size: 1 }),
    { code: VALUE, message: /offset, length, class, signal/ });
  await assert.rejects(fh.readInto(alloc(4096), 100),
    { code: 'UVDIO_EALIGN', path, message: /offset 100 is not a multiple of 4096/ });
  await assert.rejects(fh.readInto(alloc(100), 0), { code: 'UVDIO_EALIGN', message: /length 100/ });
  await assert.rejects(fh.readInto(Buffer.alloc(4096), 0),
    { code: 'UVDIO_EALIGN', message: /memory of alloc\(\)/ });
  await assert.rejects(fh.readInto(alloc(8192).subarray(512, 4608), 0),
    { code: 'UVDIO_EALIGN', message: /begins 512 bytes/ });
  await assert.rejects(fh.readInto('text'), { code: TYPE });
  await assert.rejects(fh.write(Buffer.alloc(10), 0),
    { code: 'UVDIO_EALIGN', syscall: 'write', message: /length 10 .*createWriteStream/ });
  await assert.rejects(fh.write('text', 0), { code: TYPE, message: /'text'/ });
  await assert.rejects(fh.write(alloc(4096), 0, { atomic: true }),
    (error) => error.code === 'UVDIO_EATOMIC' || fh.info().atomicMax > 0);
  await assert.rejects(fh.truncate(-1), { code: VALUE });
  await assert.rejects(fh.preallocate(0, 0), { code: 'EINVAL', syscall: 'preallocate', path });
  await assert.rejects(fh.preallocate(0, 1, { space: 'some' }), { code: VALUE });
  await fh.close();
  for (const call of ['read', 'readInto', 'readFile', 'write', 'sync', 'datasync', 'truncate',
    'size', 'stat']) {
    const first = call === 'read' ? { length: 1 } : /^(readInto|write)$/.test(call) ? alloc(4096)
      : undefined;
    await assert.rejects(fh[call](first), { code: 'EBADF', path }, call);
  }
  assert.throws(() => fh.info(), { code: 'EBADF' });
  assert.throws(() => fh.createReadStream(), { code: 'EBADF' });
});

test('files for one direction', async () => {
  const path = filled(4096);
  const reader = await open(path);
  await assert.rejects(reader.write(alloc(4096), 0), { code: 'EBADF', syscall: 'write' });
  await reader.close();
  const writer = await open(path, 'w');
  await assert.rejects(writer.read({ length: 1 }), { code: 'EBADF', syscall: 'read' });
  await assert.rejects(writer.readInto(alloc(4096), 0), { code: 'EBADF' });
  await writer.close();
});

test('bytes in flight are busy', async () => {
  const fh = await open(filled(1 << 20), 'r+');
  const memory = alloc(16384);
  const first = fh.readInto(memory.subarray(0, 8192), 0);
  await assert.rejects(fh.readInto(memory.subarray(4096), 0),
    { code: 'EBUSY', message: /await it first/ });
  await assert.rejects(fh.write(memory.subarray(0, 4096), 0), { code: 'EBUSY' });
  const beside = fh.readInto(memory.subarray(8192), 8192);
  assert.equal(await first, 8192);
  assert.equal(await beside, 8192);
  const writes = [fh.write(memory, 0), fh.write(memory, 16384)];
  await assert.rejects(fh.readInto(memory, 0), { code: 'EBUSY' });
  assert.deepEqual(await Promise.all(writes), [16384, 16384]);
  assert.equal(await fh.readInto(memory, 0), 16384, 'free again');
  await fh.close();
});

test('streams', async () => {
  const fh = await open(filled(4096), 'r+');
  assert.throws(() => fh.createReadStream({ start: 10, end: 5 }), { code: VALUE });
  assert.throws(() => fh.createReadStream({ begin: 1 }), { code: VALUE, message: /'begin'/ });
  assert.throws(() => fh.createReadStream({ highWaterMark: 0 }), { code: VALUE });
  assert.throws(() => fh.createWriteStream({ start: 1 }), { code: 'UVDIO_EALIGN' });
  await fh.close();
  const reader = await open(filled(4096));
  assert.throws(() => reader.createWriteStream(), { code: 'EBADF' });
  await reader.close();
});

test('logs', async () => {
  await assert.rejects(openLog(), { code: TYPE });
  const path = fresh();
  await assert.rejects(openLog(path), { code: 'ENOENT', syscall: 'openLog', path });
  await assert.rejects(openLog(path, { segmentSize: 4096 }),
    { code: 'ERR_INVALID_ARG_VALUE', message: /segmentSize is 4096; .* 65536 at least/ });
  await assert.rejects(openLog(path, { bufferSize: 5000 }),
    { code: 'ERR_INVALID_ARG_VALUE', message: /bufferSize is 5000; .*multiple of 4096/ });
  await assert.rejects(openLog(path, { windowMs: 2 ** 32 }),
    { code: VALUE, message: /windowMs is 4294967296; .* 4294967295 at most/ });
  await assert.rejects(openLog(path, { lockWaitMs: 2 ** 32 }),
    { code: VALUE, message: /lockWaitMs is 4294967296; .* 4294967295 at most/ });
  await assert.rejects(openLog(path, { replay: 5 }), { code: TYPE });
  await assert.rejects(openLog(path, { onRecord() {} }), { code: VALUE, message: /replay/ });
});

test('configure()', () => {
  const { stdout } = run(`
    for (const options of [{ backend: 'x' }, { depth: 1e9 }, { deep: 1 }, { depth: 'x' }]) {
      try {
        uvdio.configure(options);
      } catch (error) {
        console.log(error.message);
      }
    }
    (await uvdio.open(file, 'w').then((fh) => fh.close())); // with the options of before
    console.log(uvdio.backend().name !== '');`);
  assert.match(stdout, /^backend is 'x'; .*auto, ring, aio, pool, memory\n/);
  assert.match(stdout, /\ndepth is 1000000000; .* 32768 at most\n/);
  assert.match(stdout, /no option 'deep'; it has: backend, .*\ndepth is 'x'; .*\ntrue\n$/);
});

test('an unknown backend in the environment', () => {
  const { stdout } = run(`
    await uvdio.open(file, 'w').catch((error) => console.log(error.message));`,
  { env: { UVDIO_BACKEND: 'disk' } });
  assert.match(stdout, /^UVDIO_EBACKEND: .*UVDIO_BACKEND.*, open '/);
});

test('bytes that are being read are not copied', async () => {
  const fh = await open(filled(1 << 20), 'r+');
  const folder = fresh();
  fs.mkdirSync(folder);
  const log = await openLog(folder, { segmentSize: 1 << 20 });
  const copies = await open(fresh(), 'w');
  const stream = copies.createWriteStream({ autoClose: false });
  const failed = new Promise((resolve) => stream.once('error', resolve));
  const memory = alloc(1 << 20);
  const bytes = memory.subarray(1, 4097); // begins where only a copy can be written
  const busy = { code: 'EBUSY', message: /await it first/ };
  const read = fh.readInto(memory, 0);
  const refused = [fh.write(bytes, 0), log.append(bytes)];
  stream.write(bytes);
  await Promise.all(refused.map((promise) => assert.rejects(promise, busy)));
  assert.match((await failed).message, busy.message);
  await read;
  assert.equal(await fh.write(bytes, 0), 4096);
  await log.append(bytes);
  await Promise.all([fh.close(), copies.close(), log.close()]);
});
