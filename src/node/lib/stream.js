// SPDX-License-Identifier: MIT
'use strict';
// Streams of Node's over the library's: a Readable that is read ahead, and a Writable that is
// written behind. Both close the file at their end, unless autoClose is false.

const { addAbortSignal, Readable, Writable } = require('node:stream');

const native = require('./native.js');
const { settled } = require('./operation.js');
const errors = require('./errors.js');

const FRAME = 64 * 1024;
const AHEAD = 8 * 1024 * 1024; // bytes of a window, as the library's own choice

// uvdio/stream.h
const READER_FULL_WINDOW = 1 << 0;
const WRITER_DURABLE = 1 << 1;
const WRITER_SPARSE = 1 << 2;

function toWindow(options, alignment) {
  const wanted = errors.toBytes(options.highWaterMark, 'highWaterMark', FRAME);
  if (wanted === 0) {
    throw errors.valueError('highWaterMark is 0; it has to be a number of bytes of a block');
  }
  const unit = Math.max(alignment, 4096);
  const frame = Math.ceil(wanted / unit) * unit;
  const window = Math.min(Math.max(Math.floor(AHEAD / frame), 4), 128);
  return { frame, window };
}

// What both have: the library's stream and its end.
class Source {
  #stream;
  #closed; // the promise of the library's close

  constructor(handle, stream, autoClose) {
    this.handle = handle;
    this.#stream = stream;
    this.autoClose = autoClose ?? true;
    this.ended = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  get native() {
    return this.#stream;
  }

  // Closes the library's stream, once.
  close() {
    this.#closed ??= (async () => native.closeStream(this.#stream))();
    return this.#closed;
  }

  // Of a writer that has taken nothing: ends it, and leaves the file as it is.
  abandon() {
    if (this.#closed === undefined && native.abandonStream(this.#stream)) {
      this.#closed = Promise.resolve();
    }
  }

  // Closes it, and then the file. The first error counts.
  async finish(error, done) {
    let first = error;
    const note = (failure) => {
      first ??= failure;
    };
    await this.close().catch(note);
    this.resolve();
    if (this.autoClose) {
      await this.handle.close().catch(note);
    }
    done(first);
  }
}

// For constructors: a signal that was aborted before destroys the stream here, which has to be
// whole.
function obey(stream, signal) {
  if (signal !== undefined) {
    addAbortSignal(signal, stream);
  }
}

class ReadStream extends Readable {
  #source;

  constructor(handle, stream, options, frame) {
    super({ highWaterMark: frame });
    this.#source = new Source(handle, stream, options.autoClose);
    this.bytesRead = 0;
    obey(this, options.signal);
  }

  get path() {
    return this.#source.handle.path;
  }

  get ended() {
    return this.#source.ended;
  }

  async _read() {
    let block;
    try {
      while ((block = native.take(this.#source.native)) === undefined) {
        await native.wait(this.#source.native);
        if (this.destroyed) {
          return;
        }
      }
    } catch (error) {
      this.destroy(error);
      return;
    }
    this.bytesRead += block?.length ?? 0;
    this.push(block); // what listeners throw is no error of the stream
  }

  _destroy(error, done) {
    this.#source.finish(error, done);
  }
}

class WriteStream extends Writable {
  #source;
  #marks = new WeakMap(); // chunks of sync(), and what they resolve

  constructor(handle, stream, options, frame) {
    super({ highWaterMark: frame });
    this.#source = new Source(handle, stream, options.autoClose);
    this.bytesWritten = 0;
    obey(this, options.signal);
  }

  get path() {
    return this.#source.handle.path;
  }

  get ended() {
    return this.#source.ended;
  }

  // Gives the library what it has room for, and returns how far that went.
  #put(chunk, begin) {
    let from = begin;
    while (from < chunk.length) {
      const taken = native.put(this.#source.native, chunk, from);
      if (taken === 0) {
        break;
      }
      from += taken;
      this.bytesWritten += taken;
    }
    return from;
  }

  async #putAll(chunk, begin) {
    let from = begin;
    while (from < chunk.length && !this.destroyed) {
      await native.wait(this.#source.native);
      from = this.#put(chunk, from);
    }
  }

  _write(chunk, encoding, done) {
    const resolve = this.#marks.get(chunk);
    if (resolve !== undefined) {
      const synced = this.#syncNow();
      resolve(synced);
      synced.then(() => done(), () => done()); // an error stops the stream at the next call
      return;
    }
    let from;
    try {
      from = this.#put(chunk, 0);
    } catch (error) {
      done(errors.explainBusy(error));
      return;
    }
    if (from === chunk.length) {
      done();
    } else {
      this.#putAll(chunk, from).then(() => done(), done);
    }
  }

  // The file ends with the last byte from here on.
  _final(done) {
    this.#source.close().then(() => done(), done);
  }

  // All bytes that were written so far are durable: an empty chunk goes behind them through Node's
  // queue, from which the library takes them, and what comes behind it waits.
  async sync() {
    if (this.writableEnded || this.destroyed) {
      throw errors.libraryError('EBADF', -9, 'datasync', this.path,
        'the stream has ended; its option `durable` syncs at the end');
    }
    const mark = Buffer.alloc(0);
    return settled(new Promise((resolve, reject) => {
      this.#marks.set(mark, resolve);
      this.write(mark, (error) => error && reject(error));
    }));
  }

  async #syncNow() {
    await native.syncWriter(this.#source.native);
  }

  _destroy(error, done) {
    if (this.bytesWritten === 0) {
      this.#source.abandon();
    }
    this.#source.finish(error, done);
  }
}

function createReadStream(handle, file, given) {
  const names = ['start', 'end', 'highWaterMark', 'autoClose', 'fullWindow', 'signal'];
  const options = errors.toOptions(given, names, 'createReadStream()');
  errors.toSignal(options.signal);
  const begin = errors.toBytes(options.start, 'start', 0);
  // As in fs, `end` is the last byte; the library wants the one behind it, and 0 for all.
  const end = options.end === undefined || options.end === Infinity ? 0
    : errors.toBytes(options.end, 'end') + 1;
  if (end !== 0 && end <= begin) {
    throw errors.valueError(`end is ${end - 1}, before start, which is ${begin}`);
  }
  const { frame, window } = toWindow(options, handle.alignment);
  const flags = options.fullWindow ? READER_FULL_WINDOW : 0;
  const stream = native.createReader(file, frame, window, begin, end, flags);
  return new ReadStream(handle, stream, options, frame);
}

function createWriteStream(handle, file, given) {
  const names = ['start', 'sizeHint', 'highWaterMark', 'autoClose', 'durable', 'sparse', 'signal'];
  const options = errors.toOptions(given, names, 'createWriteStream()');
  errors.toSignal(options.signal);
  const begin = errors.toBytes(options.start, 'start', 0);
  if (begin % handle.alignment !== 0) {
    throw errors.alignmentError('write', handle.path,
      `start ${begin} is not a multiple of ${handle.alignment}, the file's alignment`);
  }
  const { frame, window } = toWindow(options, handle.alignment);
  const flags = (options.durable ? WRITER_DURABLE : 0) | (options.sparse ? WRITER_SPARSE : 0);
  const hint = errors.toBytes(options.sizeHint, 'sizeHint', 0);
  const stream = native.createWriter(file, frame, window, begin, hint, flags);
  return new WriteStream(handle, stream, options, frame);
}

module.exports = { createReadStream, createWriteStream };
