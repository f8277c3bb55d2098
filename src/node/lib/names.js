// SPDX-License-Identifier: MIT
'use strict';
// Operations on names, by the names that node:fs has for them.

const native = require('./native.js');
const { settled } = require('./operation.js');
const { checkSignal, toMode, toOptions, toPath } = require('./errors.js');

// Numbers of `names` in addon/names.c
const RENAME = 0, LINK = 1, UNLINK = 2, MKDIR = 3, RMDIR = 4, SYNC_DIRECTORY = 5;

const RENAME_NO_REPLACE = 1 << 0; // uvdio.h

async function run(which, [path, dest, detail], signal) {
  checkSignal(signal);
  return settled(native.names(which, path, dest, detail), signal);
}

async function rename(oldPath, newPath, options) {
  const { noReplace, signal } = toOptions(options, ['noReplace', 'signal'], 'rename()');
  const paths = [toPath(oldPath, 'oldPath'), toPath(newPath, 'newPath')];
  return run(RENAME, [...paths, noReplace ? RENAME_NO_REPLACE : 0], signal);
}

async function link(existingPath, newPath, options) {
  const { signal } = toOptions(options, ['signal'], 'link()');
  const paths = [toPath(existingPath, 'existingPath'), toPath(newPath, 'newPath')];
  return run(LINK, [...paths, 0], signal);
}

// As in fs: the mode itself, or options.
async function mkdir(path, given) {
  const wanted = typeof given === 'number' ? { mode: given } : given;
  const { mode, signal } = toOptions(wanted, ['mode', 'signal'], 'mkdir()');
  return run(MKDIR, [toPath(path), undefined, toMode(mode, 0o777)], signal);
}

const onOne = (which, name) => async (path, options) => {
  const { signal } = toOptions(options, ['signal'], `${name}()`);
  return run(which, [toPath(path), undefined, 0], signal);
};

module.exports = {
  link, mkdir, rename,
  rmdir: onOne(RMDIR, 'rmdir'),
  syncDirectory: onOne(SYNC_DIRECTORY, 'syncDirectory'),
  unlink: onOne(UNLINK, 'unlink'),
};
