// SPDX-License-Identifier: MIT
// Readers of logs: each durable record once and in order, while more are appended; a wait that ends
// with the log, the reader or a signal; bounded memory.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { openLog, stats } from 'uvdio';
import { fresh, pattern, run, settled } from './lib.mjs';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const VALUE = 'ERR_INVALID_ARG_VALUE';
const SMALL = { segmentSize: 1 << 20 };

async function created(options = SMALL) {
  const path = fresh();
  fs.mkdirSync(path);
  return openLog(path, options);
}

const sizeOf = (i) => 1 + (i * 977) % 9000;

// Appends the records of these numbers, and gives their LSNs.
const appended = (log, begin, end) => Promise.all(Array.from({ length: end - begin }, (_, i) =>
  log.append(pattern(begin + i, sizeOf(begin + i)))));

async function gathered(reader) {
  const records = [];
  for await (const record of reader) {
    records.push(record);
  }
  return records;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

// The loop turns until nothing of the engine is in flight: what could be read ahead was read.
async function idle() {
  do {
    await turn();
  } while (stats().inFlight > 0);
}

function assertRecords(records, lsns, first = 0) {
  assert.deepEqual(records.map(({ lsn }) => lsn), lsns);
  records.forEach(({ data }, i) => assert.deepEqual(data, pattern(first + i, sizeOf(first + i))));
}

for (const packed of [false, true]) {
  test(`a reader follows, and ends with the log${packed ? ', packed' : ''}`, async () => {
    const log = await created({ ...SMALL, packed });
    const lsns = await appended(log, 0, 200);
    const reader = log.reader();
    assert.equal(reader.path, log.path);
    const all = gathered(reader);
    for (let i = 200; i < 600; i += 100) {
      lsns.push(...await appended(log, i, i + 100));
      await turn();
    }
    await log.close();
    const records = await all;
    assertRecords(records, lsns);
    const { taken, bytes, lsn } = reader.info();
    assert.deepEqual({ taken, bytes, lsn },
      { taken: 600, bytes: records.reduce((sum, { data }) => sum + data.length, 0),
        lsn: lsns.at(-1) });
    assert.deepEqual(await reader.next(), { done: true, value: undefined });
  });
}

test('one that does not follow ends with what was durable when it was made', async () => {
  const log = await created();
  assert.deepEqual(await gathered(log.reader({ follow: false })), []);
  const lsns = await appended(log, 0, 300);
  const reader = log.reader({ follow: false });
  const records = [];
  for await (const record of reader) {
    if (records.length % 50 === 0) {
      await appended(log, 300 + records.length, 310 + records.length);
    }
    records.push(record);
  }
  assertRecords(records, lsns);
  assert.deepEqual(await gathered(log.reader({ follow: false, from: log.stats().durable })), []);
  await log.close();
  const again = await openLog(log.path, SMALL);
  assert.equal((await gathered(again.reader({ follow: false }))).length, again.stats().replayed);
  await again.close();
});

test('one that does not follow does not wait for what is behind its end', async () => {
  const log = await created();
  await appended(log, 0, 3);
  const reader = log.reader({ follow: false });
  const ends = Array.from({ length: 6 }, () => reader.next());
  assert.deepEqual((await Promise.all(ends)).map(({ done }) => done),
    [false, false, false, true, true, true]);
  await log.close();
});

test('from: where an earlier reader has ended', async () => {
  const log = await created();
  const lsns = await appended(log, 0, 100);
  for (const i of [0, 1, 50, 99]) {
    const reader = log.reader({ from: lsns[i], follow: false });
    assertRecords(await gathered(reader), lsns.slice(i), i);
    const behind = log.reader({ from: lsns[i] + 1n, follow: false });
    assertRecords(await gathered(behind), lsns.slice(i + 1), i + 1);
  }
  const first = log.reader();
  for (let i = 0; i < 10; i++) {
    await first.next();
  }
  await first.close();
  const { next, lsn, taken } = first.info();
  assert.ok(next > lsns[9] && next <= lsns[10]);
  assert.deepEqual({ lsn, taken }, { lsn: lsns[9], taken: 10 });
  assertRecords(await gathered(log.reader({ from: next, follow: false })), lsns.slice(10), 10);
  await log.close();
});

test('the bytes of a record stay', async () => {
  const log = await created();
  await appended(log, 0, 3);
  const reader = log.reader();
  const { value: { data } } = await reader.next();
  await reader.next();
  await reader.close();
  await log.close();
  assert.ok(Buffer.isBuffer(data));
  assert.deepEqual(data, pattern(0, sizeOf(0)));
});

test('a slow reader holds the reading back', async () => {
  const log = await created();
  for (let i = 0; i < 64; i++) {
    await log.append(Buffer.alloc(100000, i));
  }
  const reader = log.reader({ bufferSize: 65536, pin: true });
  for (let i = 0; i < 10; i++) {
    const { value } = await reader.next();
    assert.equal(value.data[0], i);
    await idle();
    const { reads, bytes } = reader.info();
    assert.ok(reads * 16384 <= bytes + 2 * 65536 + 100 * 4096,
      `${reads} reads of 16 KiB for ${bytes} bytes`);
  }
  await reader.close();
  await log.close();
});

test('readers give their memory back', () => {
  const { stdout, stderr } = run(`
    import fs from 'node:fs';
    const life = async (folder) => {
      fs.mkdirSync(folder);
      const log = await uvdio.openLog(folder, { segmentSize: 1 << 20 });
      await Promise.all(Array.from({ length: 100 }, () => log.append('x'.repeat(5000))));
      for await (const record of log.reader({ follow: false, recordMax: 1e6 })) {}
      for await (const record of log.reader()) { break; }
      const from = log.stats().durable;
      const reader = log.reader({ from });
      const next = reader.next();
      await reader.close();
      await next;
      const controller = new AbortController();
      const waits = log.reader({ from, signal: controller.signal }).next();
      controller.abort();
      await waits.catch(() => {});
      await log.close();
      return uvdio.stats().allocations;
    };
    const first = await life(file); // the engine keeps some of its own
    console.log(await life(file + '2') - first);`);
  assert.equal(stderr, '');
  assert.equal(stdout, '0\n');
});

test('the loop turns while a log is read', async () => {
  const log = await created();
  await Promise.all(Array.from({ length: 20000 }, (_, i) => log.append(`${i}`.padEnd(100))));
  let turns = 0;
  const counter = setInterval(() => turns++, 0);
  const records = await gathered(log.reader({ bufferSize: 16384, follow: false }));
  clearInterval(counter);
  assert.equal(records.length, 20000);
  assert.ok(turns > 0);
  await log.close();
});

test('calls that do not await each other get the records in order', async () => {
  const log = await created();
  const reader = log.reader();
  const early = Array.from({ length: 10 }, () => reader.next());
  const lsns = await appended(log, 0, 30);
  const late = Array.from({ length: 20 }, () => reader.next());
  const end = reader.next();
  const records = (await Promise.all([...early, ...late])).map(({ value }) => value);
  assertRecords(records, lsns);
  await log.close();
  assert.deepEqual(await end, { done: true, value: undefined });
});

test('several readers', async () => {
  const log = await created();
  const all = Array.from({ length: 5 }, () => gathered(log.reader()));
  const lsns = await appended(log, 0, 200);
  await log.close();
  for (const records of await Promise.all(all)) {
    assertRecords(records, lsns);
  }
});

test('break, return() and throw close a reader', async () => {
  const log = await created();
  const lsns = await appended(log, 0, 10);
  const reader = log.reader();
  for await (const { lsn } of reader) {
    if (lsn === lsns[4]) {
      break;
    }
  }
  assert.deepEqual(await reader.next(), { done: true, value: undefined });
  const other = log.reader();
  assert.deepEqual(await other.return(5), { done: true, value: 5 });
  await assert.rejects(async () => {
    for await (const record of log.reader()) {
      throw new Error(`planned ${record.lsn}`);
    }
  }, { message: `planned ${lsns[0]}` });
  await log.close();
});

test('close() ends what waits', async () => {
  const log = await created();
  const reader = log.reader();
  const waiting = [reader.next(), reader.next()];
  await turn();
  assert.equal(reader.close(), reader.close());
  for (const next of waiting) {
    assert.deepEqual(await next, { done: true, value: undefined });
  }
  const unused = log.reader();
  await unused[Symbol.asyncDispose ?? 'close']();
  assert.deepEqual(await unused.next(), { done: true, value: undefined });
  assert.equal(unused.info().taken, 0);
  await log.close();
});

test('the close of a log waits for its readers, which get what is there', async () => {
  const log = await created();
  const lsns = await appended(log, 0, 20);
  const reader = log.reader();
  await reader.next();
  let isClosed = false;
  const closed = log.close().then(() => {
    isClosed = true;
  });
  await idle();
  assert.equal(isClosed, false);
  assert.throws(() => log.reader(), { code: 'EBADF', syscall: 'reader', path: log.path });
  assertRecords(await gathered(reader), lsns.slice(1), 1);
  await closed;
});

test('a signal', async () => {
  const log = await created();
  await appended(log, 0, 5);
  const aborted = { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' };
  assert.throws(() => log.reader({ signal: AbortSignal.abort('enough') }), aborted);
  // between two records: the next call tells, once
  const between = new AbortController();
  const reader = log.reader({ signal: between.signal });
  await reader.next();
  between.abort('enough');
  await assert.rejects(reader.next(), aborted);
  assert.deepEqual(await reader.next(), { done: true, value: undefined });
  // in a wait, of several calls
  const within = new AbortController();
  const waiting = log.reader({ from: log.stats().durable, signal: within.signal });
  const nexts = [waiting.next(), waiting.next()].map(settled);
  await turn();
  within.abort('enough');
  const [first, second] = await Promise.all(nexts);
  assert.equal(first.error.cause, 'enough');
  assert.match(first.error.stack, /AbortError/);
  assert.deepEqual(second.value, { done: true, value: undefined });
  // after a close and after the end
  const late = new AbortController();
  const closed = log.reader({ signal: late.signal });
  await closed.close();
  const ended = log.reader({ follow: false, signal: late.signal });
  assert.equal((await gathered(ended)).length, 5);
  late.abort();
  assert.equal((await closed.next()).done, true);
  assert.equal((await ended.next()).done, true);
  await log.close();
});

test('a reader leaves no listener with a signal', async () => {
  const log = await created();
  const { signal } = new AbortController();
  const listeners = new Set();
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  signal.addEventListener = function add(name, listener, options) {
    listeners.add(listener);
    return addEventListener.call(this, name, listener, options);
  };
  signal.removeEventListener = function remove(name, listener) {
    listeners.delete(listener);
    return removeEventListener.call(this, name, listener);
  };
  const readers = [log.reader({ signal }), log.reader({ signal })];
  assert.equal(listeners.size, 1); // Node warns of many
  await readers[0].close();
  assert.equal(listeners.size, 1);
  await readers[1].close();
  assert.equal(listeners.size, 0);
  await log.close();
});

test('a signal holds no reader that is forgotten', () => {
  const { stdout, stderr } = run(`
    import fs from 'node:fs';
    fs.mkdirSync(file);
    const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
    const controller = new AbortController();
    const log = await uvdio.openLog(file, { segmentSize: 65536 });
    await log.append('x');
    await (async () => {
      await log.reader({ signal: controller.signal }).next();
    })();
    let isClosed = false;
    const closing = log.close().then(() => { isClosed = true; });
    for (let i = 0; i < 200 && !isClosed; i++) { gc(); await turn(); }
    console.log(isClosed);
    controller.abort();
    process.exit();`);
  assert.equal(stdout, 'true\n');
  assert.match(stderr, /UvdioWarning: A reader of the log/);
});

test('the memory of readers that are forgotten makes the collector run', () => {
  const { stdout } = run(`
    import fs from 'node:fs';
    fs.mkdirSync(file);
    const log = await uvdio.openLog(file, { segmentSize: 65536 });
    await log.append('x');
    let isTold = false;
    process.on('warning', () => { isTold = true; });
    for (let i = 0; i < 400 && !isTold; i++) {
      await log.reader().next();
      await new Promise(setImmediate);
    }
    console.log(isTold);
    process.exit();`);
  assert.equal(stdout, 'true\n');
});

test('what a cut has given up', async () => {
  const log = await created();
  const lsns = [];
  for (let i = 0; i < 60; i++) {
    lsns.push(await log.append(Buffer.alloc(100000, i)));
  }
  const reader = log.reader();
  const pinned = log.reader({ pin: true });
  assert.equal((await reader.next()).value.lsn, lsns[0]);
  await pinned.next();
  log.cut(lsns[59]);
  assert.equal((await pinned.next()).value.lsn, lsns[1]);
  await pinned.close();
  log.cut(lsns[59]);
  await assert.rejects(gathered(reader),
    { code: 'UVDIO_ECUT', syscall: 'reader', path: log.path });
  assert.throws(() => log.reader({ from: reader.info().next }), { code: 'UVDIO_ECUT' });
  const left = await gathered(log.reader({ follow: false }));
  assert.equal(left.at(-1).lsn, lsns[59]);
  await log.close();
});

test('a record that is too long ends the reader, and another one goes on', async () => {
  const log = await created();
  await log.append('short');
  const lsn = await log.append(Buffer.alloc(100000));
  const reader = log.reader({ recordMax: 1000 });
  assert.equal((await reader.next()).value.data.toString(), 'short');
  const error = await reader.next().catch((reason) => reason);
  assert.equal(error.code, 'UVDIO_ESIZE');
  assert.match(error.stack, /log_reader\.test\.mjs|log_reader\.js/);
  assert.equal((await reader.next()).done, true, 'closed');
  const rest = await gathered(log.reader({ from: reader.info().next, follow: false }));
  assert.deepEqual(rest.map((record) => record.lsn), [lsn]);
  await log.close();
});

test('wrong options', async () => {
  const log = await created();
  for (const [options, code, message] of [
    [5, TYPE, /options of reader/], [{ begin: 1n }, VALUE, /no option 'begin'; it has: from/],
    [{ from: 1 }, TYPE, /from is 1; it has to be a bigint/], [{ from: -1n }, VALUE, /from is -1n/],
    [{ from: 2n ** 64n }, VALUE, /from/], [{ from: 2n ** 40n }, VALUE, /no record of this log/],
    [{ bufferSize: 4096 }, VALUE, /multiple of 16384/], [{ bufferSize: 2 ** 31 }, VALUE, /at most/],
    [{ recordMax: 2 ** 31 }, VALUE, /recordMax/], [{ recordMax: 'x' }, TYPE, /recordMax/],
    [{ signal: 5 }, TYPE, /AbortSignal/],
  ]) {
    assert.throws(() => log.reader(options), { code, message });
  }
  assert.throws(() => log.cut(-1n), { code: VALUE });
  await log.close();
});

test('a reader keeps its log, and one that is forgotten is closed, and told', () => {
  const { stdout, stderr } = run(`
    import fs from 'node:fs';
    fs.mkdirSync(file);
    const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
    let reader = await (async () => {
      const log = await uvdio.openLog(file, { segmentSize: 65536 });
      await log.append('x');
      return log.reader();
    })();
    for (let i = 0; i < 5; i++) { gc(); await turn(); }
    console.log((await reader.next()).value.data.toString());
    reader = undefined;
    let log;
    for (let i = 0; i < 200 && log === undefined; i++) {
      gc();
      await turn();
      log = await uvdio.openLog(file).catch(() => undefined);
    }
    console.log(log?.stats().replayed);
    await log?.close();`);
  assert.equal(stdout, 'x\n1\n');
  assert.match(stderr, /UvdioWarning: A reader of the log '.*' was closed by the garbage coll/);
});

test('a reader that nobody waits for lets the process end, and a wait does not', () => {
  const idleOne = run(`
    import fs from 'node:fs';
    fs.mkdirSync(file);
    const log = await uvdio.openLog(file, { segmentSize: 65536 });
    await log.append('x');
    const reader = log.reader();
    await reader.next();
    console.log('done');`);
  assert.equal(idleOne.stdout, 'done\n');
  assert.equal(idleOne.status, 0);
  const waiting = run(`
    import fs from 'node:fs';
    fs.mkdirSync(file);
    const log = await uvdio.openLog(file, { segmentSize: 65536 });
    const next = log.reader().next();
    setTimeout(() => log.append('late'), 20).unref();
    console.log((await next).value.data.toString());`);
  assert.equal(waiting.stdout, 'late\n');
  assert.equal(waiting.status, 0);
});

for (const [how, end] of [['process.exit()', 'process.exit(0);'],
  ['an exception', 'setImmediate(() => { throw new Error("planned"); });']]) {
  test(`a process ends by ${how} while a reader waits`, () => {
    const { status, signal, stdout } = run(`
      import fs from 'node:fs';
      fs.mkdirSync(file);
      const log = await uvdio.openLog(file, { segmentSize: 65536 });
      const settled = (what) => () => console.log(what);
      log.reader().next().then(settled('value'), settled('error'));
      const other = log.reader();
      other.next().then(settled('value'), settled('error'));
      other.close().then(settled('closed'));
      console.log('waits');
      ${end}`);
    assert.equal(signal, null);
    assert.equal(status, how === 'an exception' ? 1 : 0);
    assert.match(stdout, how === 'an exception' ? /^waits\n/ : /^waits\n$/);
  });
}
