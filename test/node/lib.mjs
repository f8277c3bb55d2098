// SPDX-License-Identifier: MIT
// What the tests share: a folder of their own in the working directory, whose filesystem has direct
// I/O, and other processes.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after } from 'node:test';

export const folder = fs.mkdtempSync(path.join(process.cwd(), 'files-'));
after(() => fs.rmSync(folder, { recursive: true, force: true }));

let files = 0;

// A path in the folder where nothing is.
export const fresh = () => path.join(folder, `file-${files++}`);

// A file of `size` bytes, each of which its place tells.
export function filled(size) {
  const name = fresh();
  fs.writeFileSync(name, pattern(0, size));
  return name;
}

export function pattern(offset, length) {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) {
    bytes[i] = ((offset + i) * 7 + ((offset + i) >> 8)) & 255;
  }
  return bytes;
}

export const turn = () => new Promise((resolve) => setImmediate(resolve));

// Finalizers run in later turns.
export async function collect() {
  for (let i = 0; i < 5; i++) {
    global.gc();
    await turn();
  }
}

// Runs a program in a process of its own; `folder` and `file` are given to it.
export function run(program, { file = fresh(), env = {}, flags = ['--expose-gc'] } = {}) {
  const script = `${fresh()}.mjs`;
  fs.writeFileSync(script, `import * as uvdio from 'uvdio';
    const file = ${JSON.stringify(file)};\n${program}`);
  const result = spawnSync(process.execPath, [...flags, script],
    { encoding: 'utf8', timeout: 60000, env: { ...process.env, ...env } });
  return { ...result, file };
}

// All threads of libuv's pool are busy for a moment, so that what needs one waits.
export const blockPool = `
  import { pbkdf2 } from 'node:crypto';
  const blockPool = () => Promise.all(Array.from({ length: 4 }, () =>
    new Promise((done) => pbkdf2('a', 'b', 400000, 64, 'sha512', done))));
`;

export const settled = async (promise) => {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
};
