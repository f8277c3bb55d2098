// SPDX-License-Identifier: MIT
// AbortSignal: what has not begun ends, what has begun goes on, and no promise is settled before
// the kernel has let go of the memory.
import assert from 'node:assert/strict';
import test from 'node:test';
import { alloc, open, stats } from 'uvdio';
import { blockPool, filled, fresh, run, settled } from './lib.mjs';

test('a signal that was aborted before', async () => {
  const fh = await open(filled(4096), 'r+');
  const signal = AbortSignal.abort('enough');
  const before = stats().submitted;
  for (const call of [() => fh.read({ length: 1, signal }),
    () => fh.readInto(alloc(4096), 0, { signal }), () => fh.write(alloc(4096), 0, { signal }),
    () => fh.sync({ signal }), () => fh.truncate(0, { signal }), () => open('x', { signal })]) {
    await assert.rejects(call(),
      { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' });
  }
  assert.equal(stats().submitted, before);
  await assert.rejects(fh.read({ length: 1, signal: 5 }), { code: 'ERR_INVALID_ARG_TYPE' });
  await fh.close();
});

test('what waits in the library ends early', async () => {
  const fh = await open(filled(1 << 20));
  const controller = new AbortController();
  const { signal } = controller;
  const memory = alloc(1 << 20);
  const reads = Array.from({ length: 2000 }, () => fh.read({ length: 65536, signal }));
  const into = fh.readInto(memory, 0, { signal });
  controller.abort('enough');
  const results = await Promise.all([...reads, into].map(settled));
  const ended = results.filter(({ error }) => error !== undefined);
  assert.ok(ended.length > 1000, `${ended.length} ended early`);
  for (const { error, value } of results) {
    assert.ok(error?.code === 'ABORT_ERR' ? error.cause === 'enough' : value !== undefined);
  }
  assert.equal(await fh.readInto(memory, 0), 1 << 20, 'the memory is free');
  await fh.close();
});

test('listeners are removed', async () => {
  const fh = await open(filled(4096));
  let listeners = 0;
  const { signal } = new AbortController();
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  signal.addEventListener = function add(...given) {
    listeners++;
    return addEventListener.apply(this, given);
  };
  signal.removeEventListener = function remove(...given) {
    listeners--;
    return removeEventListener.apply(this, given);
  };
  const read = fh.read({ length: 1, signal });
  assert.equal(listeners, 1);
  await read;
  assert.equal(listeners, 0);
  await fh.close();
});

test('an abort after the end, and one within the pool', () => {
  const { stdout, stderr } = run(`${blockPool}
    uvdio.configure({ backend: 'pool' });
    const fh = await uvdio.open(file, 'w+');
    const controller = new AbortController();
    await fh.write(Buffer.alloc(4096), 0, { signal: controller.signal });
    const busy = blockPool();
    const write = fh.write(Buffer.alloc(4096, 1), 0, { signal: controller.signal });
    controller.abort();
    await write.catch((error) => console.log(error.code));
    await busy;
    console.log((await fh.read({ length: 1 }))[0]);
    await fh.close();`, { file: fresh() });
  assert.equal(stderr, '');
  assert.equal(stdout, 'ABORT_ERR\n0\n');
});

test('an abort of many operations does not hold up the loop', async () => {
  const fh = await open(filled(4096));
  const controller = new AbortController();
  const begin = performance.now();
  const reads = Array.from({ length: 20000 }, () =>
    settled(fh.read({ length: 1, signal: controller.signal })));
  const submitted = performance.now();
  controller.abort();
  const aborted = performance.now();
  await Promise.all(reads);
  assert.ok(aborted - submitted < submitted - begin,
    `${aborted - submitted} ms, and ${submitted - begin} ms to ask for them`);
  await fh.close();
});
