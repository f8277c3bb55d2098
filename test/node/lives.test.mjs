// SPDX-License-Identifier: MIT
// Ends: of a worker, of a process, with operations in flight or without; and what goes on beside.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import { alloc, open, stats } from 'uvdio';
import { blockPool, filled, fresh, pattern, run } from './lib.mjs';

const path = filled(1 << 20);

// A worker that runs this program, where `file` is the path above.
function start(program) {
  const script = `${fresh()}.mjs`;
  fs.writeFileSync(script, `import * as uvdio from 'uvdio';
    import { parentPort } from 'node:worker_threads';
    const file = ${JSON.stringify(path)};\n${program}`);
  return new Worker(script);
}

const flight = `
  const fh = await uvdio.open(file, 'r+');
  const memory = Array.from({ length: 200 }, () => uvdio.alloc(65536));
  for (let i = 0; i < 500; i++) {
    fh.read({ length: 65536 }).catch(() => {});
    fh.readInto(memory[i % 200], 0).catch(() => {});
    fh.write(Buffer.alloc(4096), 1 << 21).catch(() => {});
    fh.size().catch(() => {});
  }`;

const ended = (worker) => new Promise((resolve, reject) => {
  worker.once('exit', resolve);
  worker.once('error', reject);
});

test('workers that end by themselves give everything back', async () => {
  const before = stats().allocations;
  for (let i = 0; i < 5; i++) {
    const worker = start(`
      const fh = await uvdio.open(file);
      parentPort.postMessage((await fh.read({ length: 100 })).length);
      await fh.close();`);
    const message = new Promise((resolve) => worker.once('message', resolve));
    assert.equal(await ended(worker), 0);
    assert.equal(await message, 100);
  }
  assert.equal(stats().allocations, before);
});

test('workers that leave files, streams and logs open', async () => {
  const before = stats().allocations;
  for (let i = 0; i < 5; i++) {
    const folder = fresh();
    fs.mkdirSync(folder);
    const worker = start(`
      const fh = await uvdio.open(file);
      const stream = fh.createReadStream();
      stream.once('data', () => {
        stream.pause();
        process.exit(3);
      });
      const writer = (await uvdio.open(file + '.copy', 'w')).createWriteStream();
      writer.write(Buffer.alloc(1 << 20));
      const log = await uvdio.openLog(${JSON.stringify(folder)}, { segmentSize: 1 << 20 });
      for (let i = 0; i < 100; i++) {
        log.append('x'.repeat(1000)).catch(() => {});
      }`);
    assert.equal(await ended(worker), 3);
  }
  assert.equal(stats().allocations, before);
});

test('workers that end while readers of a log read, wait and close', async () => {
  const before = stats().allocations;
  for (const end of ['process.exit(3);', 'setImmediate(() => process.exit(3));',
    'await reader.next(); process.exit(3);', 'reader.close(); process.exit(3);',
    'log.close(); process.exit(3);', 'setTimeout(() => process.exit(3), 5);']) {
    const folder = fresh();
    fs.mkdirSync(folder);
    const worker = start(`
      const log = await uvdio.openLog(${JSON.stringify(folder)}, { segmentSize: 1 << 20 });
      for (let i = 0; i < 100; i++) {
        log.append('x'.repeat(10000)).catch(() => {});
      }
      await log.append('y');
      const follow = async () => {
        for await (const { data } of log.reader()) {}
      };
      follow();
      follow();
      const reader = log.reader({ bufferSize: 65536 });
      reader.next();
      ${end}`);
    assert.equal(await ended(worker), 3, end);
  }
  assert.equal(stats().allocations, before);
});

test('workers that are terminated with operations in flight', async () => {
  const fh = await open(filled(1 << 20));
  await fh.read({ length: 1 });
  const before = stats().allocations;
  for (let i = 0; i < 8; i++) {
    const worker = start(`${flight}\nparentPort.postMessage(1); setInterval(() => {}, 1000);`);
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    if (i % 2 === 1) {
      await new Promise((resolve) => setTimeout(resolve, i));
    }
    const end = worker.terminate();
    assert.equal((await fh.read({ offset: 77, length: 1000 })).length, 1000);
    await end;
  }
  assert.equal(stats().allocations, before);
  assert.deepEqual(await fh.read({ offset: 77, length: 1000 }), pattern(77, 1000));
  await fh.close();
});

test('workers that end while others work', async () => {
  const workers = Array.from({ length: 4 }, () => start(`
    const fh = await uvdio.open(file);
    const memory = uvdio.alloc(4096);
    for (let i = 0; i < 300; i++) {
      await fh.readInto(memory, (i % 256) * 4096);
      await fh.read({ offset: i, length: 1000 });
    }
    parentPort.postMessage(uvdio.stats().failed);`));
  const failed = workers.map((worker) => new Promise((resolve) => worker.once('message', resolve)));
  assert.deepEqual(await Promise.all(workers.map(ended)), [0, 0, 0, 0]);
  assert.deepEqual(await Promise.all(failed), [0, 0, 0, 0]);
});

test('the threadpool works on after a worker has ended', async () => {
  await ended(start('await (await uvdio.open(file)).size();'));
  assert.equal((await fs.promises.readFile(path)).length >= 1 << 20, true);
  const fh = await open(path);
  assert.ok((await fh.stat()).size >= 1 << 20);
  await fh.close();
});

for (const backend of ['ring', 'aio', 'pool']) {
  for (const [how, end] of [['process.exit()', 'process.exit(0);'], ['its end', ''],
    ['an exception', 'setImmediate(() => { throw new Error("planned"); });']]) {
    test(`a process ends by ${how} with operations in flight, ${backend}`, (t) => {
      const { status, signal, stdout, stderr } = run(`
        try {
          uvdio.configure({ backend: '${backend}' });
        } catch {
          process.exit(77);
        }
        ${flight}
        console.log('begun');
        ${end}`, { file: filled(1 << 20) });
      if (status === 77) {
        t.skip(`no ${backend} here`);
        return;
      }
      assert.equal(signal, null);
      assert.equal(status, how === 'an exception' ? 1 : 0, stderr);
      assert.equal(stdout, 'begun\n');
      assert.match(stderr, how === 'an exception' ? /planned/ : /^$/);
    });
  }
}

test('a process that has nothing to do ends', () => {
  const { status, stdout } = run(`
    const fh = await uvdio.open(file, 'w');
    const log = uvdio.backend();
    console.log('done');`);
  assert.equal(stdout, 'done\n');
  assert.equal(status, 0);
});

test('an exception in what awaits reaches the process, and the rest goes on', () => {
  const { status, stdout } = run(`
    process.on('uncaughtException', (error) => console.log(error.message));
    process.on('unhandledRejection', (error) => console.log(error.message));
    const fh = await uvdio.open(file);
    fh.read({ length: 1 }).then(() => { throw new Error('first'); });
    await fh.read({ length: 1 });
    queueMicrotask(() => { throw new Error('second'); });
    console.log((await fh.read({ length: 10 })).length);
    await fh.close();`, { file: filled(4096) });
  assert.deepEqual(stdout.split('\n').sort(), ['', '10', 'first', 'second']);
  assert.equal(status, 0);
});

test('reads go on while the threadpool is busy', (t) => {
  const { stdout } = run(`${blockPool}
    const fh = await uvdio.open(file);
    if (fh.info().backend === 'pool') { // some filesystems take no other
      console.log('pool');
      process.exit();
    }
    let isBusy = true;
    const busy = blockPool().then(() => { isBusy = false; });
    const bytes = await fh.read({ length: 4096 });
    console.log(bytes.length === 4096, isBusy);
    await busy;
    await fh.close();`, { file: filled(4096) });
  if (stdout === 'pool\n') {
    t.skip('files here are read by the threadpool');
    return;
  }
  assert.equal(stdout, 'true true\n');
});

test('memory of a worker that has ended was not touched', async () => {
  const memory = alloc(65536);
  await ended(start(`${flight}\nsetTimeout(() => process.exit(0), 1);`));
  assert.ok(memory.every((byte) => byte === 0));
});
