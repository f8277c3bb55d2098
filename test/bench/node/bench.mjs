// SPDX-License-Identifier: MIT
// Random reads of 4 KiB by the npm package beside Node's own: operations per second, CPU time, and
// the delay of the loop; idle, and with libuv's threads busy. Rounds run in turn; medians are told.
//   node bench.mjs [--seconds 0.5] [--rounds 5] [--size 256] [--callbacks 32] [--file PATH]
//
// --size: MiB of the file, which is made where PATH is not there, and removed. Its filesystem has
// to have direct I/O.
import { pbkdf2 } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';

const uvdio = createRequire(import.meta.url)('../../../src/node/index.js');

const text = (fallback) => ({ type: 'string', default: fallback });
const { values } = parseArgs({ options: {
  seconds: text('0.5'), rounds: text('5'), size: text('256'), callbacks: text('32'),
  file: text(`bench-${process.pid}.bin`),
} });
const PAGE = 4096;
const PAGES = Number(values.size) * 256;
const DEPTHS = [1, 32, 128];

uvdio.configure({ callbacksPerTurn: Number(values.callbacks) });

function makeFile() {
  const block = Buffer.alloc(1 << 20, 'uvdio');
  const fd = fs.openSync(values.file, 'w');
  for (let i = 0; i < Number(values.size); i++) {
    fs.writeSync(fd, block);
  }
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

const isMade = !fs.existsSync(values.file);
if (isMade) {
  makeFile();
}
const fh = await uvdio.open(values.file);
const direct = await fs.promises.open(values.file, fs.constants.O_RDONLY | fs.constants.O_DIRECT);
const cached = await fs.promises.open(values.file, 'r');
fs.readFileSync(values.file); // into the page cache

// A callback's read as a promise costs fs.read less than util.promisify does.
const callbackRead = (fd) => (page, offset) => new Promise((resolve, reject) =>
  fs.read(fd, page, 0, PAGE, offset, (error, count) => (error ? reject(error) : resolve(count))));

// Memory of alloc() is what makes reads of O_DIRECT possible for fs.
const READS = {
  'uvdio readInto': (page, offset) => fh.readInto(page, offset),
  'uvdio read': (page, offset) => fh.read({ offset, length: PAGE }),
  'fs.read, O_DIRECT': callbackRead(direct.fd),
  'fs.promises, O_DIRECT': (page, offset) => direct.read(page, 0, PAGE, offset),
  'fs.read, page cache': callbackRead(cached.fd),
  'fs.promises, page cache': (page, offset) => cached.read(page, 0, PAGE, offset),
};

async function measure(read, depth) {
  const pages = Array.from({ length: depth }, () => uvdio.alloc(PAGE));
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const end = performance.now() + Number(values.seconds) * 1000;
  let count = 0;
  delay.enable();
  const cpu = process.cpuUsage();
  const begin = performance.now();
  await Promise.all(pages.map(async (page) => {
    while (performance.now() < end) {
      await read(page, Math.floor(Math.random() * PAGES) * PAGE);
      count++;
    }
  }));
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  delay.disable();
  return { rate: count / seconds, cpu: (user + system) / count, delay: delay.percentile(99) / 1e6 };
}

// Keeps all threads of libuv's pool busy until it is told to stop.
function keepBusy() {
  let isOn = true;
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
  const one = async () => {
    while (isOn) {
      await new Promise((resolve) => pbkdf2('a', 'b', 20000, 64, 'sha512', resolve));
    }
  };
  const all = Promise.all(Array.from({ length: threads }, one));
  return () => {
    isOn = false;
    return all;
  };
}

const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];

async function compare(isBusy) {
  const results = new Map();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const depth of DEPTHS) {
      for (const [name, read] of Object.entries(READS)) {
        const stop = isBusy ? keepBusy() : () => {};
        const key = `${name}|${depth}`;
        results.set(key, [...(results.get(key) ?? []), await measure(read, depth)]);
        await stop();
      }
    }
  }
  const cell = (name, depth, field, digits) =>
    median(results.get(`${name}|${depth}`).map((result) => result[field])).toFixed(digits);
  const fields = [['rate', 0, 'ops/s'], ['delay', 1, 'delay p99, ms']];
  if (!isBusy) {
    fields.push(['cpu', 1, 'CPU, µs']);
  }
  const heads = fields.flatMap(([, , title]) => DEPTHS.map((depth) => `${title}, depth ${depth}`));
  console.log(`\n| threads ${isBusy ? 'busy' : 'idle'} | ${heads.join(' | ')} |`);
  console.log(`|---|${'---|'.repeat(heads.length)}`);
  for (const name of Object.keys(READS)) {
    const cells = fields.flatMap(([field, digits]) =>
      DEPTHS.map((depth) => cell(name, depth, field, digits)));
    console.log(`| ${name} | ${cells.join(' | ')} |`);
  }
}

console.log(`Node.js ${process.version}, uvdio on ${uvdio.backend().name}, ` +
  `${values.callbacks} callbacks a turn`);
try {
  await compare(false);
  await compare(true);
} finally {
  await Promise.all([fh.close(), direct.close(), cached.close()]);
  if (isMade) {
    fs.rmSync(values.file);
  }
}
