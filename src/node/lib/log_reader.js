// SPDX-License-Identifier: MIT
'use strict';
// LogReader: the records of an open log as an async iterator, which reads ahead no more than its
// buffer holds, and at the tail waits for what is appended.

const native = require('./native.js');
const { located, onAbort, settled } = require('./operation.js');
const { toClass } = require('./classes.js');
const errors = require('./errors.js');

const READER_PIN = 1 << 0; // uvdio/log_reader.h
const BUFFER_UNIT = 16384;
const SIZE_MAX = 2 ** 30; // of the buffer, and of a record

const NAMES = ['from', 'follow', 'bufferSize', 'recordMax', 'pin', 'class', 'signal'];

const forgotten = new FinalizationRegistry(({ reader, path, forget }) => {
  forget?.();
  process.emitWarning(`A reader of the log '${path}' was closed by the garbage collector. Call ` +
    'close(), use "await using", or go on to its end', 'UvdioWarning');
  native.closeLogReader(reader).catch(() => {});
});

class LogReader {
  #log; // held, because a log that is collected closes
  #reader;
  #next; // LSN: the next record's is not below it
  #until; // LSN from which on none is given, or Infinity
  #forget; // of the signal
  #failure; // an AbortError that next() has to throw
  #waiting = 0; // calls of next()
  #turn = Promise.resolve(); // the end of the last of them
  #info; // from the close on
  #closing;

  constructor(log, reader, { begin, until, signal }) {
    this.#log = log;
    this.#reader = reader;
    this.#next = begin;
    this.#until = until;
    const held = { reader, path: log.path, forget: undefined };
    forgotten.register(this, held, this);
    if (signal !== undefined) {
      const self = new WeakRef(this); // a signal may live long, and is to hold no reader
      this.#forget = held.forget = onAbort(signal, () => self.deref()?.#abort(signal.reason));
    }
  }

  get path() {
    return this.#log.path;
  }

  info() {
    return this.#info ?? native.logReaderInfo(this.#reader);
  }

  // The end and an error close the reader. Calls that don't await each other get the records in
  // their order.
  async next() {
    try {
      const taken = this.#waiting === 0 ? this.#take() : undefined;
      const record = taken === undefined ? await this.#wait() : taken;
      if (record !== null) {
        return { done: false, value: record };
      }
    } catch (error) {
      await this.close().catch(() => {}); // the first error counts
      throw located(error);
    }
    await this.close();
    return { done: true, value: undefined };
  }

  async return(value) {
    await this.close();
    return { done: true, value };
  }

  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  [errors.asyncDispose]() {
    return this.close();
  }

  #abort(reason) {
    this.#failure = new errors.AbortError(reason);
    this.close().catch(() => {}); // next() tells
  }

  // The next record, null at the end, or undefined where it has not arrived.
  #take() {
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
    if (this.#closing !== undefined || this.#next >= this.#until) {
      return null;
    }
    const record = native.takeRecord(this.#reader);
    if (record) {
      this.#next = record.lsn + 1n;
    }
    return record;
  }

  async #takeWhenReady() {
    let record;
    while ((record = this.#take()) === undefined) {
      await native.waitRecord(this.#reader);
    }
    return record;
  }

  // One call after the other: the library has one wait at a time.
  #wait() {
    const take = () => this.#takeWhenReady();
    this.#turn = this.#turn.then(take, take);
    this.#waiting++;
    return this.#turn.finally(() => {
      this.#waiting--;
    });
  }

  async #close() {
    forgotten.unregister(this);
    this.#forget?.();
    this.#info = native.logReaderInfo(this.#reader);
    return settled(native.closeLogReader(this.#reader));
  }
}

// `handle` is the addon's log.
function createLogReader(log, handle, given) {
  const options = errors.toOptions(given, NAMES, 'reader()');
  const { from, follow, pin, signal } = options;
  const { durable } = native.logStats(handle);
  const begin = from === undefined ? 0n : errors.toLsn(from, 'from');
  if (begin > durable) {
    throw errors.valueError(`from is ${begin}n; no record of this log has had an LSN above ` +
      `${durable - 1n}n`);
  }
  const buffer = errors.toUnits(options.bufferSize, 'bufferSize', BUFFER_UNIT, BUFFER_UNIT);
  const record = errors.toBytes(options.recordMax, 'recordMax', 0);
  for (const [name, bytes] of [['bufferSize', buffer], ['recordMax', record]]) {
    if (bytes > SIZE_MAX) {
      throw errors.valueError(`${name} is ${bytes}; it has to be ${SIZE_MAX} at most`);
    }
  }
  const number = toClass(options.class);
  errors.checkSignal(signal);
  const flags = pin ? READER_PIN : 0;
  const reader = native.createLogReader(handle, begin, buffer, record, flags, number);
  // One past the last LSN, and there is such a record: a cut spares its segment.
  const until = follow ?? true ? Infinity : durable;
  return new LogReader(log, reader, { begin: begin > 1n ? begin : 1n, until, signal });
}

module.exports = { LogReader, createLogReader };
