// SPDX-License-Identifier: MIT
// Streams: bytes in order, back-pressure, ends and errors, as programs with Node's own streams
// expect.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import test from 'node:test';
import { createGunzip, createGzip } from 'node:zlib';
import { open } from 'uvdio';
import { filled, fresh, pattern, run } from './lib.mjs';

async function drain(stream) {
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const SIZE = 3 * 1024 * 1024 + 777;
const source = filled(SIZE);
const all = pattern(0, SIZE);

test('a whole file', async () => {
  const fh = await open(source);
  const stream = fh.createReadStream();
  assert.deepEqual(await drain(stream), all);
  assert.equal(stream.bytesRead, SIZE);
  assert.equal(stream.path, source);
  await assert.rejects(fh.size(), { code: 'EBADF' }, 'it has closed the file');
});

test('ranges, and the end as in fs', async () => {
  const fh = await open(source);
  for (const [start, end] of [[0, 0], [1, 5], [100, 70000], [SIZE - 1, SIZE + 5],
    [65536, 131071]]) {
    const stream = fh.createReadStream({ start, end, autoClose: false, fullWindow: true });
    assert.deepEqual(await drain(stream), all.subarray(start, end + 1));
  }
  assert.equal((await drain(fh.createReadStream({ start: SIZE, autoClose: false }))).length, 0);
  const small = fh.createReadStream({ start: 5, highWaterMark: 4096, autoClose: false });
  assert.deepEqual(await drain(small), all.subarray(5));
  await fh.close();
});

test('pipeline() from a file to a file, through others', async () => {
  const target = fresh();
  const from = await open(source);
  const to = await open(target, 'w');
  await pipeline(from.createReadStream(), createGzip({ level: 1 }), createGunzip(),
    to.createWriteStream({ durable: true }));
  assert.deepEqual(fs.readFileSync(target), all);
  await assert.rejects(to.size(), { code: 'EBADF' });
});

test('writes of any size', async () => {
  const target = fresh();
  const fh = await open(target, 'w');
  const stream = fh.createWriteStream({ highWaterMark: 8192 });
  let offset = 0;
  for (let i = 0; offset < SIZE; i++) {
    const length = Math.min(1 + (i * 7919) % 50000, SIZE - offset);
    if (!stream.write(all.subarray(offset, offset + length))) {
      await new Promise((resolve) => stream.once('drain', resolve));
    }
    offset += length;
  }
  await stream.sync();
  await new Promise((resolve) => stream.end(resolve));
  assert.equal(stream.bytesWritten, SIZE);
  assert.deepEqual(fs.readFileSync(target), all);
});

test('sync() of a stream is for all bytes that were written', async () => {
  const fh = await open(fresh(), 'w');
  const stream = fh.createWriteStream();
  const bytes = Buffer.alloc(1 << 20, 1);
  for (let i = 0; i < 32; i++) { // more than the library's window
    stream.write(bytes);
  }
  await stream.sync();
  assert.equal(stream.bytesWritten, 32 << 20);
  stream.write(bytes);
  const both = [stream.sync(), stream.sync()];
  stream.end();
  await Promise.all(both);
  await assert.rejects(stream.sync(),
    { code: 'EBADF', syscall: 'datasync', path: fh.path, message: /has ended/ });
  await new Promise((resolve) => stream.once('close', resolve));
  await assert.rejects(stream.sync(), { code: 'EBADF', path: fh.path });
});

test('a slow reader of a stream holds it back', async () => {
  const fh = await open(source);
  const stream = fh.createReadStream({ highWaterMark: 65536 });
  await new Promise((resolve) => stream.once('readable', resolve));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(stream.bytesRead <= 2 * 65536, `${stream.bytesRead} bytes were taken`);
  stream.destroy();
  await new Promise((resolve) => stream.once('close', resolve));
});

test('what a listener throws is no error of the stream', () => {
  const { stdout } = run(`
    process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    const stream = (await uvdio.open(file)).createReadStream({ highWaterMark: 4096 });
    stream.on('error', (error) => console.log('error of the stream', error.message));
    let count = 0;
    stream.on('data', () => {
      if (++count === 5) {
        throw new Error('planned');
      }
    });
    stream.on('end', () => console.log('end'));`, { file: source });
  assert.equal(stdout.split('\n')[0], 'uncaught planned');
});

test('streams that are destroyed, at once and later', async () => {
  for (const turns of [0, 1, 5]) {
    const fh = await open(source);
    const stream = fh.createReadStream();
    stream.resume();
    for (let i = 0; i < turns; i++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    stream.destroy();
    await new Promise((resolve) => stream.once('close', resolve));
    const target = await open(fresh(), 'w');
    const writer = target.createWriteStream();
    writer.write(all);
    for (let i = 0; i < turns; i++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    writer.on('error', () => {});
    writer.destroy(new Error('planned'));
    await new Promise((resolve) => writer.once('close', resolve));
    await assert.rejects(target.size(), { code: 'EBADF' });
  }
});

test('an error of another stream, and a signal, close both files', async () => {
  const broken = new Transform({
    transform: (chunk, encoding, done) => done(new Error('planned')),
  });
  const from = await open(source);
  const to = await open(fresh(), 'w');
  await assert.rejects(pipeline(from.createReadStream(), broken, to.createWriteStream()),
    /planned/);
  await from.close();
  await to.close();
  const again = await open(source);
  const controller = new AbortController();
  const slow = new Writable({ write: (chunk, encoding, done) => setTimeout(done, 1000) });
  const piped = pipeline(again.createReadStream(), slow, { signal: controller.signal });
  controller.abort();
  await assert.rejects(piped, { name: 'AbortError' });
  await again.close();
});

test('errors of the file reach the stream', async () => {
  const fh = await open(filled(4096), 'r+');
  const stream = fh.createWriteStream({ start: 2 ** 52 });
  stream.write(Buffer.alloc(200000));
  stream.end();
  const error = await new Promise((resolve) => stream.once('error', resolve));
  assert.match(error.code, /^(EFBIG|ENOSPC|EINVAL)$/);
  assert.equal(error.path, fh.path);
  await fh.close();
});

test('close() of the file ends its streams', async () => {
  const fh = await open(source);
  const stream = fh.createReadStream();
  stream.on('error', () => {});
  await new Promise((resolve) => stream.once('readable', resolve));
  await fh.close();
  assert.ok(stream.destroyed);
});

test('close() of the file waits for the bytes that its streams were given', async () => {
  const target = fresh();
  const fh = await open(target, 'w');
  const stream = fh.createWriteStream();
  const errors = [];
  for (let offset = 0; offset < 8; offset++) { // more than the library's window
    stream.write(all, (error) => errors.push(error));
  }
  await fh.close();
  assert.ok(fs.readFileSync(target).equals(Buffer.concat(Array(8).fill(all))));
  assert.deepEqual(errors.filter(Boolean), []);
  const failing = await open(target, 'w');
  const broken = failing.createWriteStream({ start: 2 ** 52 });
  const failed = new Promise((resolve) => broken.once('error', resolve));
  broken.write(all);
  await failing.close();
  assert.match((await failed).code, /^(EFBIG|ENOSPC|EINVAL)$/);
});

test('text, and an iterable', async () => {
  const target = fresh();
  const fh = await open(target, 'w');
  const stream = fh.createWriteStream();
  await pipeline(Readable.from(['ä', 'bc', '€']), stream);
  assert.equal(fs.readFileSync(target, 'utf8'), 'äbc€');
});

test('holes', async () => {
  const target = fresh();
  const fh = await open(target, 'w+');
  const stream = fh.createWriteStream({ sparse: true, autoClose: false });
  stream.write(Buffer.alloc(1 << 20));
  await new Promise((resolve) => stream.end(all.subarray(0, 100), resolve));
  assert.equal(await fh.size(), (1 << 20) + 100);
  assert.ok((await fh.stat()).allocated < 1 << 19);
  await fh.close();
});

test('a signal that was aborted before ends a stream, and its file can be closed', async () => {
  const fh = await open(source, 'r+');
  const signal = AbortSignal.abort('enough');
  for (const create of ['createReadStream', 'createWriteStream']) {
    const stream = fh[create]({ signal, autoClose: false });
    const error = await new Promise((resolve) => stream.once('error', resolve));
    assert.equal(error.name, 'AbortError', create);
    assert.equal(error.cause, 'enough');
    assert.throws(() => fh[create]({ signal: 5 }), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  fh.createWriteStream({ autoClose: false }).destroy();
  await fh.close();
  assert.equal(fs.statSync(source).size, SIZE, 'streams that took nothing leave the file alone');
});
