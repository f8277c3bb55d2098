// SPDX-License-Identifier: MIT
'use strict';
// openLog() and Log: a write-ahead log with group commit.

const native = require('./native.js');
const { settled } = require('./operation.js');
const errors = require('./errors.js');
const { createLogReader } = require('./log_reader.js');

const LOG_PACKED = 1 << 0, LOG_EXISTING = 1 << 1; // uvdio/log.h
const MS_MAX = 2 ** 32 - 1; // milliseconds

const NAMES = ['replay', 'segmentSize', 'bufferSize', 'windowMs', 'flushSize', 'waitingMax',
  'packed', 'existing', 'lockWaitMs'];

const forgotten = new FinalizationRegistry(({ log, path }) => {
  process.emitWarning(`The log '${path}' was closed by the garbage collector. Call close(), or ` +
    'use "await using"', 'UvdioWarning');
  native.closeLog(log).catch(() => {});
});

class Log {
  #log;
  #path;
  #closing;

  constructor(log, path) {
    this.#log = log;
    this.#path = path;
    forgotten.register(this, { log, path }, this);
  }

  get path() {
    return this.#path;
  }

  async append(record) {
    const bytes = typeof record === 'string' ? Buffer.from(record)
      : errors.toUint8Array(record, 'record');
    if (bytes.byteLength === 0) {
      throw errors.valueError('the record is empty; a record has at least one byte');
    }
    const log = this.#open('append');
    let promise;
    try {
      promise = native.append(log, bytes);
    } catch (error) {
      throw errors.explainBusy(error);
    }
    return settled(promise);
  }

  cut(lsn) {
    native.cut(this.#open('cut'), errors.toLsn(lsn, 'lsn'));
  }

  reader(options) {
    return createLogReader(this, this.#open('reader'), options);
  }

  stats() {
    return native.logStats(this.#open('stats'));
  }

  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [errors.asyncDispose]() {
    return this.close();
  }

  async #close() {
    forgotten.unregister(this);
    return settled(native.closeLog(this.#log));
  }

  #open(syscall) {
    if (this.#closing !== undefined) {
      throw errors.closedError(syscall, this.#path);
    }
    return this.#log;
  }
}

async function openLog(directory, given) {
  const options = errors.toOptions(given, NAMES, 'openLog()');
  const path = errors.toPath(directory, 'directory');
  const { replay } = options;
  if (replay !== undefined && typeof replay !== 'function') {
    throw errors.typeError(`replay is ${errors.show(replay)}; it has to be a function`);
  }
  const blocks = (name, least) => errors.toUnits(options[name], name, 4096, least);
  const bytes = (name) => errors.toBytes(options[name], name, 0);
  for (const name of ['windowMs', 'lockWaitMs']) {
    if (bytes(name) > MS_MAX) {
      throw errors.valueError(`${name} is ${options[name]}; it has to be ${MS_MAX} at most`);
    }
  }
  const flags = (options.packed ? LOG_PACKED : 0) | (options.existing ? LOG_EXISTING : 0);
  const log = await settled(native.openLog(path, replay, blocks('segmentSize', 65536),
    blocks('bufferSize', 4096), bytes('windowMs'), bytes('flushSize'),
    bytes('waitingMax'), flags, bytes('lockWaitMs')));
  if (log !== null && typeof log === 'object' && Object.hasOwn(log, 'failure')) {
    throw log.failure; // what replay has thrown
  }
  return new Log(log, path);
}

module.exports = { Log, openLog };
