// SPDX-License-Identifier: MIT
'use strict';
// Direct I/O for Node.js on its own event loop. README.md and index.d.ts describe it.

const native = require('./lib/native.js');
const { classStats, setClass, waitForRoom } = require('./lib/classes.js');
const { alloc, FileHandle, open } = require('./lib/file.js');
const { Log, openLog } = require('./lib/log.js');
const { LogReader } = require('./lib/log_reader.js');
const { link, mkdir, rename, rmdir, syncDirectory, unlink } = require('./lib/names.js');
const errors = require('./lib/errors.js');

const BACKENDS = { auto: 0, ring: 1, aio: 2, pool: 3, memory: 4 };
const NAMES = ['backend', 'depth', 'callbacksPerTurn', 'submitBatch', 'busyPollUs'];

// Before the first operation of this thread.
function configure(given) {
  const options = errors.toOptions(given, NAMES, 'configure()');
  const name = options.backend ?? 'auto';
  if (!Object.hasOwn(BACKENDS, name)) {
    throw errors.valueError(`backend is ${errors.show(name)}; it has to be one of ` +
      Object.keys(BACKENDS).join(', '));
  }
  const number = (key, most) => {
    const value = errors.toBytes(options[key], key, 0);
    if (value > most) {
      throw errors.valueError(`${key} is ${value}; it has to be ${most} at most`);
    }
    return value;
  };
  try {
    native.configure(BACKENDS[name], number('depth', 32768), number('callbacksPerTurn', 65536),
      number('submitBatch', 65536), number('busyPollUs', 1000));
  } catch (error) {
    if (error.code === 'EBUSY') {
      error.message = 'EBUSY: this thread has an engine already; call configure() before the ' +
        'first operation';
    }
    if (error.reason !== undefined) {
      error.message += ` (${error.reason})`;
    }
    throw error;
  }
}

// {name, reason}: what executes operations on this thread, and why not something better.
const backend = () => native.describe();

const stats = () => native.stats();

const { version } = native;

// Identifiers only: by these, import finds the names.
module.exports = {
  FileHandle, Log, LogReader, alloc, backend, classStats, configure, link, mkdir, open, openLog,
  rename, rmdir, setClass, stats, syncDirectory, unlink, version, waitForRoom,
};
