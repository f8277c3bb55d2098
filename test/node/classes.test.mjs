// SPDX-License-Identifier: MIT
// Classes: operations go to the class that was asked for, and its limits and bounds hold.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { alloc, classStats, open, openLog, setClass, stats, waitForRoom } from 'uvdio';
import { filled, fresh, run, settled } from './lib.mjs';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const VALUE = 'ERR_INVALID_ARG_VALUE';

test('before there are classes', () => {
  const { stdout } = run(`
    try { uvdio.classStats('log'); } catch (error) { console.log(error.code, error.syscall); }
    await uvdio.waitForRoom('log').catch((error) => console.log(error.code, error.syscall));
    const fh = await uvdio.open(file, { flags: 'w', class: 'background' });
    const write = fh.write(Buffer.alloc(4096), 0, { class: 9 });
    try { uvdio.setClass('log'); } catch (error) { console.log(error.message); }
    console.log(await write);
    uvdio.setClass('log', { shares: 1 });
    console.log(uvdio.classStats('log').operations);
    await fh.close();`);
  assert.match(stdout,
    /^ENOENT classStats\nENOENT waitForRoom\nEBUSY: .* before the first operation\n4096\n0\n$/);
});

test('each operation is of the class that was asked for, and no other', async () => {
  setClass('foreground', { shares: 500, priority: 'none' });
  const fh = await open(filled(1 << 20), 'r+');
  const memory = alloc(4096);
  const count = (which) => classStats(which).operations;
  const calls = [
    (options) => fh.read({ length: 10, ...options }),
    (options) => fh.readInto(memory, 0, options),
    (options) => fh.write(memory, 0, options),
    (options) => fh.write(Buffer.alloc(4096), 0, options),
    (options) => fh.sync(options), (options) => fh.datasync(options),
    (options) => fh.truncate(1 << 20, options),
    (options) => fh.preallocate(0, 4096, options), (options) => fh.zeroRange(0, 4096, options),
    (options) => fh.punchHole(0, 4096, options), (options) => fh.nextHole(0, options),
  ];
  for (const call of calls) {
    for (const which of ['log', 7]) {
      const before = count(which);
      await call({ class: which });
      assert.equal(count(which), before + 1, `${call}`);
      await call({});
      assert.equal(count(which), before + 1, `${call} without one`);
    }
  }
  const before = count(5);
  assert.equal((await fh.readFile({ class: 5 })).length, 1 << 20);
  assert.equal(count(5), before + 1);
  await fh.close();
});

test('files, streams and readers of logs', async () => {
  const path = filled(1 << 20);
  const fh = await open(path, { flags: 'r+', class: 'background' });
  let before = classStats('background').operations;
  await fh.read({ length: 1 });
  assert.equal(classStats('background').operations, before + 1);
  fh.setClass(6);
  before = classStats(6).bytes;
  for await (const chunk of fh.createReadStream({ autoClose: false })) {
    assert.ok(chunk.length > 0);
  }
  assert.ok(classStats(6).bytes >= before + (1 << 20));
  await fh.close();
  assert.throws(() => fh.setClass(1), { code: 'EBADF', path });
  const folder = fresh();
  fs.mkdirSync(folder);
  const log = await openLog(folder, { segmentSize: 1 << 20 });
  await log.append('x'.repeat(100000));
  before = classStats(8).bytes;
  for await (const { data } of log.reader({ follow: false, class: 8 })) {
    assert.equal(data.length, 100000);
  }
  assert.ok(classStats(8).bytes >= before + 100000);
  assert.throws(() => log.reader({ class: 16 }), { code: VALUE });
  await log.close();
});

test('a bound on what waits, and room again', async () => {
  setClass(10, { depth: 1, queueMax: 4 });
  const fh = await open(filled(1 << 20), { class: 10 });
  assert.equal(await waitForRoom(10), undefined);
  const reads = Array.from({ length: 50 }, () => settled(fh.read({ length: 65536 })));
  const room = waitForRoom(10).then(() => classStats(10).waiting);
  const results = await Promise.all(reads);
  const codes = new Set(results.map(({ error }) => error?.code));
  assert.deepEqual([...codes].sort(), ['UVDIO_EFULL', undefined]);
  assert.equal(results.filter(({ error }) => error === undefined).length, 5);
  assert.ok(await room <= 2);
  assert.equal(classStats(10).refused, 45);
  setClass(10);
  await Promise.all(Array.from({ length: 50 }, () => fh.read({ length: 1 })));
  await fh.close();
});

test('a limit per second', async () => {
  const fh = await open(filled(1 << 20));
  setClass(11, { operationsPerSecond: 200 });
  await Promise.all(Array.from({ length: 10 }, () => fh.read({ length: 1, class: 11 })));
  assert.ok(classStats(11).limited > 0);
  setClass(12, { bytesPerSecond: 1 << 20 });
  await Promise.all(Array.from({ length: 10 }, () => fh.read({ length: 4096, class: 12 })));
  assert.ok(classStats(12).limited > 0);
  const controller = new AbortController();
  setClass(11, { operationsPerSecond: 1 });
  const reads = Array.from({ length: 10 }, () =>
    settled(fh.read({ length: 1, class: 11, signal: controller.signal })));
  controller.abort();
  const ended = (await Promise.all(reads)).filter(({ error }) => error?.code === 'ABORT_ERR');
  assert.ok(ended.length >= 8, 'a signal ends what waits for its class');
  await fh.close();
});

test('wrong classes and options', async () => {
  const fh = await open(filled(4096));
  const { submitted } = stats();
  for (const [call, code, message] of [
    [() => fh.read({ length: 1, class: 'fast' }), VALUE, /'foreground'/],
    [() => fh.read({ length: 1, class: 16 }), VALUE, /from 0 to 15/],
    [() => fh.read({ length: 1, class: -1 }), VALUE, /from 0 to 15/],
    [() => fh.sync({ class: 1.5 }), VALUE, /from 0 to 15/],
    [() => open('x', { class: null }), VALUE, /class is null/],
    [() => waitForRoom('x'), VALUE, /class is 'x'/],
    [async () => setClass('log', { shares: 10001 }), VALUE, /10000 at most/],
    [async () => setClass('log', { share: 1 }), VALUE, /no option 'share'/],
    [async () => setClass('log', { shares: '1' }), TYPE, /shares/],
    [async () => setClass('log', { priority: 'urgent' }), VALUE, /'realtime'/],
    [async () => setClass('log', { depth: 2 ** 32 }), VALUE, /depth/],
    [async () => setClass(17), VALUE, /from 0 to 15/],
    [async () => classStats('x'), VALUE, /class is 'x'/],
    [async () => fh.setClass(99), VALUE, /from 0 to 15/],
  ]) {
    await assert.rejects(call(), { code, message });
  }
  assert.equal(stats().submitted, submitted);
  await fh.close();
});

test('a process ends while operations wait for their class, and for room', () => {
  const { status, signal, stdout, stderr } = run(`
    uvdio.setClass(4, { operationsPerSecond: 1, queueMax: 10 });
    const fh = await uvdio.open(file, { class: 4 });
    for (let i = 0; i < 10; i++) {
      fh.read({ length: 1 }).then(() => {}, () => console.log('settled'));
    }
    uvdio.waitForRoom(4).then(() => console.log('room'), () => console.log('no room'));
    console.log('waits');
    process.exit(0);`, { file: filled(4096) });
  assert.deepEqual({ status, signal, stdout, stderr },
    { status: 0, signal: null, stdout: 'waits\n', stderr: '' });
});
