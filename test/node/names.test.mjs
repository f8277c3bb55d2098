// SPDX-License-Identifier: MIT
// Operations on names, and on files without one: what they do, and that errors name both paths.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { link, mkdir, open, rename, rmdir, stats, syncDirectory, unlink } from 'uvdio';
import { filled, folder, fresh, pattern, run } from './lib.mjs';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const VALUE = 'ERR_INVALID_ARG_VALUE';

test('rename, link and unlink', async () => {
  const first = filled(100);
  const second = fresh();
  assert.equal(await link(first, second), undefined);
  assert.equal(fs.statSync(first).nlink, 2);
  await unlink(first);
  assert.equal(fs.existsSync(first), false);
  await rename(second, Buffer.from(first));
  assert.deepEqual(fs.readFileSync(first), pattern(0, 100));
  assert.equal(fs.existsSync(second), false);
  const other = filled(10);
  await rename(new URL(`file://${first}`), other, { noReplace: false });
  assert.equal(fs.statSync(other).size, 100);
  await syncDirectory(folder);
});

test('directories', async () => {
  const directory = fresh();
  await mkdir(directory);
  assert.equal(fs.statSync(directory).mode & 0o777, 0o777 & ~process.umask());
  const inner = path.join(directory, 'inner');
  await mkdir(inner, 0o700);
  assert.equal(fs.statSync(inner).mode & 0o777, 0o700);
  await assert.rejects(rmdir(directory),
    { code: 'ENOTEMPTY', syscall: 'rmdir', path: directory });
  await rmdir(inner);
  await mkdir(inner, { mode: 0o750 });
  assert.equal(fs.statSync(inner).mode & 0o777, 0o750 & ~process.umask());
  await rename(inner, `${directory}2`);
  await rmdir(directory);
  await rmdir(`${directory}2`);
});

test('errors have code, operation and both paths', async () => {
  const missing = fresh();
  const target = fresh();
  for (const [name, call] of [['rename', rename], ['link', link]]) {
    const error = await call(missing, target).catch((reason) => reason);
    assert.equal(error.message,
      `ENOENT: no such file or directory, ${name} '${missing}' -> '${target}'`);
    assert.equal(error.code, 'ENOENT');
    assert.equal(error.errno, -2);
    assert.equal(error.syscall, name);
    assert.equal(error.path, missing);
    assert.equal(error.dest, target);
    assert.match(error.stack, /names\.(test\.m)?js/);
  }
  const there = filled(1);
  const error = await rename(filled(1), there, { noReplace: true }).catch((reason) => reason);
  assert.match(error.code, /^(EEXIST|EINVAL|ENOSYS|ENOTSUP)$/);
  assert.deepEqual(fs.readFileSync(there), pattern(0, 1));
  for (const [name, call] of [['unlink', unlink], ['rmdir', rmdir],
    ['syncDirectory', syncDirectory]]) {
    await assert.rejects(call(missing), (reason) => {
      assert.deepEqual([reason.code, reason.syscall, reason.path, 'dest' in reason],
        ['ENOENT', name, missing, false]);
      return true;
    });
  }
  await assert.rejects(mkdir(there), { code: 'EEXIST', syscall: 'mkdir', path: there });
});

test('wrong arguments', async () => {
  for (const [call, code, message] of [
    [() => rename(), TYPE, /oldPath is undefined/], [() => rename('a'), TYPE, /newPath/],
    [() => rename('a', ''), VALUE, /newPath is empty/],
    [() => link('a\0', 'b'), VALUE, /null byte/],
    [() => rename('a', 'b', { replace: true }), VALUE, /it has: noReplace, signal/],
    [() => rename('a', 'b', 'c'), TYPE, /options of rename/], [() => unlink(5), TYPE, /path is 5/],
    [() => mkdir('a', { recursive: true }), VALUE, /no option 'recursive'/],
    [() => mkdir('a', 0o10000), VALUE, /mode/], [() => mkdir('a', '755'), TYPE, /options of mkdir/],
    [() => rmdir('a', { signal: 1 }), TYPE, /AbortSignal/],
    [() => link('a', 'b', { noReplace: true }), VALUE, /noReplace/],
    [() => syncDirectory(), TYPE, /path is undefined/],
  ]) {
    await assert.rejects(call(), { code, message });
  }
});

test('a signal', async () => {
  const before = stats().submitted;
  const signal = AbortSignal.abort('enough');
  const name = filled(1);
  const fh = await open(name, 'r+');
  const submitted = stats().submitted;
  for (const call of [() => rename(name, 'x', { signal }), () => link(name, 'x', { signal }),
    () => unlink(name, { signal }), () => mkdir('x', { signal }), () => rmdir('x', { signal }),
    () => syncDirectory(folder, { signal }), () => fh.link('x', { signal }),
    () => fh.replace('x', { signal }), () => fh.nextData(0, { signal })]) {
    await assert.rejects(call(), { name: 'AbortError', cause: 'enough' });
  }
  assert.ok(submitted > before);
  assert.equal(stats().submitted, submitted);
  await fh.close();
  const controller = new AbortController();
  const target = fresh();
  const late = rename(name, target, { signal: controller.signal }).then(() => target, () => name);
  controller.abort();
  assert.ok(fs.existsSync(await late), 'it was renamed, or it was not');
});

test('a file without a name gets one', async (t) => {
  let fh;
  try {
    fh = await open(folder, { flags: 'r+', anonymous: true });
  } catch (error) {
    assert.equal(error.code, 'ENOTSUP');
    t.skip('the filesystem has no files without a name');
    return;
  }
  await fh.write(pattern(0, 4096), 0);
  assert.equal((await fh.stat()).nlink, 0);
  assert.equal(fh.path, folder);
  await assert.rejects(fh.replace(fresh()), { code: 'EINVAL', syscall: 'replace', path: folder });
  const name = fresh();
  await fh.link(name);
  assert.equal(fh.path, name);
  const second = fresh();
  await fh.link(second);
  assert.equal(fh.path, name, 'the first name is its path');
  await assert.rejects(fh.link(second),
    { code: 'EEXIST', syscall: 'link', path: name, dest: second });
  assert.deepEqual(fs.readFileSync(second), pattern(0, 4096));
  const target = filled(1);
  await fh.replace(target);
  assert.equal(fh.path, target);
  assert.equal(fs.existsSync(name), false);
  assert.equal(fs.statSync(target).size, 4096);
  await fh.close();
  await assert.rejects(fh.link(fresh()), { code: 'EBADF', path: target });
  for (const flags of [undefined, 'w', 'r']) {
    await assert.rejects(open(folder, { flags, anonymous: true }),
      { code: VALUE, message: /opened with 'r\+'/ });
  }
});

test('replace() names both paths', async () => {
  const fh = await open(fresh(), 'w');
  const missing = path.join(fresh(), 'x');
  await assert.rejects(fh.replace(missing),
    { code: 'ENOENT', syscall: 'replace', path: fh.path, dest: missing });
  await assert.rejects(fh.replace(), { code: TYPE });
  await fh.close();
});

test('data and holes', async () => {
  const fh = await open(fresh(), 'w+');
  await fh.truncate(1 << 20);
  await fh.write(pattern(0, 65536), 1 << 19);
  const data = await fh.nextData(0);
  assert.ok(data <= 1 << 19);
  assert.equal(await fh.nextHole((1 << 20) - 1), await fh.nextHole((1 << 20) - 1, {}));
  const hole = await fh.nextHole(1 << 19);
  assert.ok(hole >= (1 << 19) + 65536 && hole <= 1 << 20);
  assert.equal(await fh.nextData(), data);
  await assert.rejects(fh.nextData(1 << 20), { code: 'ENXIO', syscall: 'nextData', path: fh.path });
  await assert.rejects(fh.nextHole('x'), { code: TYPE });
  await fh.close();
  await assert.rejects(fh.nextHole(), { code: 'EBADF' });
});

test('hints', async () => {
  const fh = await open(fresh(), 'w+');
  const hint = (hints) => fh.setHint(hints).catch((error) => {
    assert.match(error.code, /^(ENOTSUP|EINVAL)$/); // filesystems have them or don't
    assert.equal(error.syscall, 'setHint');
  });
  await hint({ writeLife: 'short' });
  await hint({ extentSize: 65536, writeLife: 'notSet' });
  await assert.rejects(fh.setHint({ writeLife: 'brief' }), { code: VALUE, message: /'extreme'/ });
  await assert.rejects(fh.setHint({ extentSize: 2 ** 40 }), { code: 'UVDIO_EOFFSET' });
  await assert.rejects(fh.setHint({ life: 1 }), { code: VALUE });
  await fh.close();
});

test('the descriptor', async () => {
  const fh = await open(filled(100));
  assert.equal(fs.fstatSync(fh.fd).size, 100);
  await fh.close();
  assert.throws(() => fh.fd, { code: 'EBADF', syscall: 'fd' });
  const { stdout } = run(`
    uvdio.configure({ backend: 'memory' });
    const fh = await uvdio.open('x', 'w+');
    try { fh.fd; } catch (error) { console.log(error.code); }
    await uvdio.rename('x', 'y');
    await (await uvdio.open('y')).close();
    await fh.close();`);
  assert.equal(stdout, 'ENOTSUP\n');
});
