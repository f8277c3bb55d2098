// SPDX-License-Identifier: MIT
// Memory: what JavaScript lets go of is given back, and not before the kernel has let go of it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { alloc, open, stats } from 'uvdio';
import { collect, filled, pattern, run, turn } from './lib.mjs';

test('alloc() is given back when nobody has it', async () => {
  await collect();
  const before = stats().allocations;
  let memory = Array.from({ length: 100 }, () => alloc(4096));
  assert.equal(stats().allocations - before, 100);
  let part = memory[0].subarray(0, 1);
  memory = undefined;
  await collect();
  assert.equal(stats().allocations - before, 1, 'a part holds all of it');
  assert.equal(part[0], 0);
  part = undefined;
  await collect();
  assert.equal(stats().allocations - before, 0);
});

test('memory in flight lives without JavaScript', async () => {
  const fh = await open(filled(1 << 20), 'r+');
  await Promise.all([fh.readInto(alloc(1 << 20), 0), fh.write(alloc(65536), 1 << 20)]);
  await collect();
  const before = stats().allocations; // with what the library takes at its first transfers
  const reads = [];
  for (let i = 0; i < 50; i++) {
    reads.push(fh.readInto(alloc(1 << 20), 0), fh.write(alloc(65536), 1 << 20));
  }
  global.gc();
  assert.deepEqual([...new Set(await Promise.all(reads))], [1 << 20, 65536]);
  reads.length = 0;
  await collect();
  assert.equal(stats().allocations, before);
  await fh.close();
});

test('Buffers of read() are the collector\'s', async () => {
  const fh = await open(filled(1 << 20));
  for (let i = 0; i < 600; i++) {
    await fh.read({ length: 1 << 20 });
  }
  await collect();
  const resident = process.memoryUsage().rss;
  assert.ok(resident < 300 << 20, `${resident >> 20} MiB after reads of 600 MiB`);
  await fh.close();
});

test('alloc() presses the collector', async () => {
  for (let i = 0; i < 600; i++) {
    alloc(1 << 20).fill(1);
    await turn();
  }
  const resident = process.memoryUsage().rss;
  assert.ok(resident < 400 << 20, `${resident >> 20} MiB after 600 MiB`);
  await collect();
});

test('an ArrayBuffer of alloc() stays in its thread', () => {
  const memory = alloc(4096);
  const { port1, port2 } = new MessageChannel();
  try {
    port1.postMessage(memory.buffer, [memory.buffer]);
  } catch (error) {
    assert.equal(error.name, 'DataCloneError');
  }
  assert.equal(memory.length, 4096);
  port1.close();
  port2.close();
});

// Around the refusal: there are other ways to detach an ArrayBuffer.
const { transfer } = ArrayBuffer.prototype;

test('memory of a worker is not transferred behind its back', () => {
  const { status, stdout } = run(`
    import { isMainThread, parentPort, Worker } from 'node:worker_threads';
    if (isMainThread) {
      const worker = new Worker(new URL(import.meta.url));
      let got;
      worker.on('message', (message) => { got = message; });
      await new Promise((resolve) => worker.on('exit', resolve));
      console.log(typeof got === 'string' ? got : Buffer.from(got)[1 << 25]);
    } else {
      const { buffer } = uvdio.alloc(1 << 26);
      try {
        const moved = buffer.transfer();
        parentPort.postMessage(moved, [moved]);
      } catch (error) {
        parentPort.postMessage(error.name + ' ' + error.code);
      }
    }`);
  assert.equal(status, 0);
  assert.match(stdout, transfer === undefined ? /^TypeError/ : /^TypeError ERR_INVALID_STATE\n$/);
});

test('an ArrayBuffer that is detached while it is in flight', async (t) => {
  if (transfer === undefined) {
    t.skip('this version has no ArrayBuffer.prototype.transfer()');
    return;
  }
  const fh = await open(filled(1 << 20));
  await collect();
  const before = stats().allocations;
  const reads = [];
  for (let i = 0; i < 100; i++) {
    const memory = alloc(1 << 20);
    reads.push(fh.readInto(memory, 0));
    transfer.call(memory.buffer, 10); // frees what is not held
    assert.equal(memory.length, 0);
    await assert.rejects(fh.readInto(memory, 0), /has no bytes/);
  }
  assert.ok((await Promise.all(reads)).every((count) => count === 1 << 20));
  reads.length = 0;
  await collect();
  assert.equal(stats().allocations, before);
  await fh.close();
});

test('an ArrayBuffer that was transferred is ordinary memory', async (t) => {
  if (transfer === undefined) {
    t.skip('this version has no ArrayBuffer.prototype.transfer()');
    return;
  }
  const fh = await open(filled(8192), 'r+');
  await collect();
  const before = stats().allocations;
  let memory = alloc(4096);
  const read = fh.readInto(memory, 0);
  let moved = Buffer.from(transfer.call(memory.buffer));
  await read;
  assert.deepEqual(moved, pattern(0, 4096));
  await assert.rejects(fh.readInto(moved, 0), /memory of alloc/);
  const old = memory;
  memory = undefined;
  await collect();
  assert.deepEqual(moved, pattern(0, 4096), 'it is still there');
  const { copied } = stats();
  await fh.write(moved, 4096);
  assert.equal(stats().copied - copied, 4096);
  moved = undefined;
  await collect();
  assert.equal(stats().allocations, before);
  assert.equal(await fh.write(old, 0), 0);
  await fh.close();
});

test('a SharedArrayBuffer is copied', async () => {
  const fh = await open(filled(4096), 'r+');
  const shared = new Uint8Array(new SharedArrayBuffer(4096)).fill(5);
  assert.equal(await fh.write(shared, 0), 4096);
  assert.equal((await fh.read({ offset: 4095, length: 1 }))[0], 5);
  await assert.rejects(fh.readInto(shared, 0), /memory of alloc/);
  await fh.close();
});

test('a detached ArrayBuffer that is written', async (t) => {
  if (transfer === undefined) {
    t.skip('this version has no ArrayBuffer.prototype.transfer()');
    return;
  }
  const fh = await open(filled(4096), 'r+');
  const memory = alloc(1 << 20);
  pattern(5, 1 << 20).copy(memory);
  const write = fh.write(memory, 0);
  transfer.call(memory.buffer, 0);
  assert.equal(await write, 1 << 20);
  assert.deepEqual(await fh.read({ length: 1 << 20 }), pattern(5, 1 << 20));
  await fh.close();
});

test('a forgotten FileHandle is closed, and told', () => {
  const { stdout, stderr } = run(`
    import fs from 'node:fs';
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    await (async () => { await uvdio.open(file, 'w'); })();
    const isOpen = () => fs.readdirSync('/proc/self/fd').some((fd) => {
      try { return fs.readlinkSync('/proc/self/fd/' + fd) === file; } catch { return false; }
    });
    console.log(isOpen());
    for (let i = 0; i < 100 && isOpen(); i++) { gc(); await turn(); }
    console.log(isOpen());`);
  assert.equal(stdout, 'true\nfalse\n');
  assert.match(stderr, /UvdioWarning: The file '.*' was closed by the garbage collector/);
});

test('what is in flight ends well on a forgotten FileHandle', () => {
  const { stdout } = run(`
    const reads = await (async () => {
      const fh = await uvdio.open(file);
      return [Array.from({ length: 500 }, () => fh.read({ length: 65536 }))];
    })();
    gc();
    console.log((await Promise.all(reads[0])).every((bytes) => bytes.length === 65536));`,
  { file: filled(65536) });
  assert.equal(stdout, 'true\n');
});

test('many operations on one alloc() do not hold up the loop', async () => {
  const COUNT = 20000;
  const fh = await open(filled(4096));
  const submit = async (memory) => {
    const begin = performance.now();
    const reads = memory.map((page) => fh.readInto(page, 0));
    const time = performance.now() - begin;
    await Promise.all(reads);
    return time;
  };
  const pages = Array.from({ length: COUNT }, () => alloc(4096));
  const whole = alloc(COUNT * 4096);
  const parts = pages.map((_, i) => whole.subarray(i * 4096, (i + 1) * 4096));
  await submit(pages);
  const apart = await submit(pages);
  const together = await submit(parts);
  assert.ok(together < 3 * apart, `${together} ms, and ${apart} ms in memory of their own`);
  await fh.close();
});

test('bytes are busy where operations in flight have them, and nowhere else', async () => {
  const PAGES = 400;
  const fh = await open(filled(4096));
  const memory = alloc(PAGES * 4096);
  const isBusy = Array(PAGES).fill(false);
  const reads = [];
  for (let i = 0; i < 500; i++) { // all of it before any read can end
    const count = i % 100 === 0 ? 50 : 1 + i % 3;
    const first = (i * 7919) % (PAGES - count);
    const busy = isBusy.slice(first, first + count).includes(true);
    const bytes = memory.subarray(first * 4096, (first + count) * 4096);
    reads.push(fh.readInto(bytes, 0).then(() => false, ({ code }) => code === 'EBUSY')
      .then((result) => assert.equal(result, busy, `read ${i}`)));
    if (!busy) {
      isBusy.fill(true, first, first + count);
    }
  }
  await Promise.all(reads);
  assert.equal(await fh.readInto(memory, 0), 4096, 'all of it is free');
  await fh.close();
});
