// SPDX-License-Identifier: MIT
// Logs: what was acknowledged is replayed, in its order, also after SIGKILL.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { openLog, stats } from 'uvdio';
import { fresh, pattern, run } from './lib.mjs';

const SMALL = { segmentSize: 1 << 20 };

function directory() {
  const path = fresh();
  fs.mkdirSync(path);
  return path;
}

// The kernel keeps the lock of a killed program until the last of its writes is done.
async function replayed(path) {
  const records = [];
  const replay = (lsn, record) => records.push({ lsn, record });
  return { log: await openLog(path, { ...SMALL, replay, lockWaitMs: 60000 }), records };
}

test('records are replayed in their order', async () => {
  const path = directory();
  const first = await openLog(path, SMALL);
  const sizes = Array.from({ length: 300 }, (_, i) => 1 + (i * 977) % 9000);
  const lsns = await Promise.all(sizes.map((size, i) => first.append(pattern(i, size))));
  assert.equal(typeof lsns[0], 'bigint');
  lsns.forEach((lsn, i) => assert.ok(i === 0 || lsn > lsns[i - 1]));
  assert.ok(first.stats().durable > lsns.at(-1));
  assert.equal(first.stats().appends, 300);
  assert.ok(first.stats().flushes < 300, 'group commit');
  await first.close();
  const { log, records } = await replayed(path);
  assert.deepEqual(records.map(({ lsn }) => lsn), lsns);
  records.forEach(({ record }, i) => assert.deepEqual(record, pattern(i, sizes[i])));
  await log.close();
});

test('the bytes of a record may change at once', async () => {
  const path = directory();
  const log = await openLog(path, SMALL);
  const bytes = pattern(0, 100);
  const append = log.append(bytes);
  bytes.fill(0);
  await append;
  await log.append('text');
  await log.append(new Uint16Array([1, 2]));
  await log.close();
  const { log: again, records } = await replayed(path);
  assert.deepEqual(records.map(({ record }) => record),
    [pattern(0, 100), Buffer.from('text'), Buffer.from([1, 0, 2, 0])]);
  await again.close();
});

test('cut() gives up what is before', async () => {
  const path = directory();
  const log = await openLog(path, SMALL);
  let last = 0n;
  for (let i = 0; i < 40; i++) {
    last = await log.append(Buffer.alloc(100000, i));
  }
  assert.ok(log.stats().lastSegment > log.stats().firstSegment);
  log.cut(last);
  while (log.stats().firstSegment < log.stats().lastSegment) { // in the background
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await log.close();
  const { log: again, records } = await replayed(path);
  assert.ok(records.length < 20, `${records.length} records`);
  assert.equal(records.at(-1).lsn, last);
  await again.close();
  assert.throws(() => again.cut(1n), { code: 'EBADF' });
});

test('wrong records, and a closed log', async () => {
  const log = await openLog(directory(), { ...SMALL, waitingMax: 1 });
  await assert.rejects(log.append(''), { code: 'ERR_INVALID_ARG_VALUE', message: /at least one/ });
  await assert.rejects(log.append(5), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => log.cut(5), { code: 'ERR_INVALID_ARG_TYPE', message: /bigint/ });
  const full = Array.from({ length: 100 }, () => log.append(Buffer.alloc(100000)));
  const codes = new Set((await Promise.allSettled(full)).map(({ reason }) => reason?.code));
  assert.deepEqual([...codes].sort(), ['UVDIO_EFULL', undefined]);
  assert.equal(log.close(), log.close());
  await log.close();
  await assert.rejects(log.append('x'), { code: 'EBADF' });
  assert.throws(() => log.stats(), { code: 'EBADF' });
});

test('a log that has to exist is not made', async () => {
  const path = directory();
  await assert.rejects(openLog(path, { existing: true }), { code: 'ENOENT', path });
  const log = await openLog(path, SMALL);
  await log.append('x');
  await log.close();
  const records = [];
  const again = await openLog(path, { existing: true, replay: (lsn, data) => records.push(data) });
  assert.equal(records.join(), 'x');
  await again.close();
});

test('one log has one owner', async () => {
  const path = directory();
  const log = await openLog(path, SMALL);
  await assert.rejects(openLog(path), { code: 'UVDIO_ELOCKED', syscall: 'openLog', path });
  await assert.rejects(openLog(path, { lockWaitMs: 20 }), { code: 'UVDIO_ELOCKED' });
  const waiting = openLog(path, { lockWaitMs: 60000 });
  await log.close();
  await (await waiting).close();
});

test('what replay() throws is what openLog() rejects with', async () => {
  const path = directory();
  const log = await openLog(path, SMALL);
  await Promise.all([log.append('a'), log.append('b')]);
  await log.close();
  let calls = 0;
  for (const thrown of [new Error('planned'), undefined, 5]) {
    const error = await openLog(path, {
      replay() {
        calls++;
        throw thrown;
      },
    }).then(() => 'opened', (reason) => reason);
    assert.equal(error, thrown);
  }
  assert.equal(calls, 3, 'it is not called again');
  const { log: again, records } = await replayed(path);
  assert.equal(records.length, 2, 'the log was closed, and is whole');
  await again.close();
});

test('logs give their memory back', async () => {
  const path = directory();
  const before = stats().allocations;
  for (let i = 0; i < 3; i++) {
    const log = await openLog(path, SMALL);
    await log.append('x');
    await log.close();
  }
  assert.equal(stats().allocations, before);
});

test('a forgotten log is closed, and told', () => {
  const { stdout, stderr } = run(`
    import fs from 'node:fs';
    fs.mkdirSync(file);
    await (async () => {
      await (await uvdio.openLog(file, { segmentSize: 65536 })).append('x');
    })();
    let log;
    for (let i = 0; i < 200 && log === undefined; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
      log = await uvdio.openLog(file).catch(() => undefined);
    }
    console.log(log?.stats().replayed);
    await log?.close();`);
  assert.equal(stdout, '1\n');
  assert.match(stderr, /UvdioWarning: The log '.*' was closed by the garbage collector/);
});

// A program appends numbers and prints those that are durable, until it is killed.
async function killed(path, after) {
  const script = `${fresh()}.mjs`;
  fs.writeFileSync(script, `import { openLog } from 'uvdio';
    let next = 0;
    const log = await openLog(${JSON.stringify(path)}, {
      segmentSize: 1 << 20,
      replay: (lsn, record) => { next = Number(record.subarray(0, 10).toString()) + 1; },
    });
    const one = async () => {
      for (;;) {
        const number = next++;
        await log.append(String(number).padStart(10, '0') + 'x'.repeat(number % 3000));
        process.stdout.write(number + '\\n');
      }
    };
    for (let i = 0; i < 8; i++) { one(); }`);
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const acknowledged = [];
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(Number(line));
    if (acknowledged.length === after) {
      child.kill('SIGKILL');
    }
  }
  return acknowledged;
}

test('SIGKILL loses no record that was acknowledged', async () => {
  const path = directory();
  const acknowledged = new Set();
  for (let round = 0; round < 6; round++) {
    (await killed(path, 50 + round * 100)).forEach((number) => acknowledged.add(number));
    const { log, records } = await replayed(path);
    const numbers = records.map(({ record }) => Number(record.subarray(0, 10).toString()));
    numbers.forEach((number, i) => assert.equal(number, i, 'in order, each once'));
    acknowledged.forEach((number) => assert.ok(number < numbers.length, `${number} is lost`));
    await log.close();
  }
  assert.ok(acknowledged.size > 500);
});
