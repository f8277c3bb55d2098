// SPDX-License-Identifier: MIT
'use strict';
// open() and FileHandle: direct I/O on one file.

const { Writable } = require('node:stream');

const native = require('./native.js');
const { inClass, toClass } = require('./classes.js');
const { settled } = require('./operation.js');
const errors = require('./errors.js');
const streams = require('./stream.js');

const { checkSignal, oneOf, toBytes, toOptions, toPath, toUint8Array } = errors;

const PAGE = 4096;
const START = 0; // in native.shared

// UVDIO_O_* of uvdio.h
const O = {
  RDWR: 1 << 0, CREATE: 1 << 1, EXCLUSIVE: 1 << 2, TRUNCATE: 1 << 3, DSYNC: 1 << 4,
  NOFOLLOW: 1 << 5, DIRECT_PREFERRED: 1 << 6, NATIVE_ALIGN: 1 << 7, WRONLY: 1 << 8,
  LOCK_SHARED: 1 << 9, LOCK_EXCLUSIVE: 1 << 10, BUFFERED: 1 << 11, DONTCACHE: 1 << 12,
  ANONYMOUS: 1 << 15,
};

const FLAGS = {
  'r': 0,
  'r+': O.RDWR,
  'w': O.WRONLY | O.CREATE | O.TRUNCATE,
  'wx': O.WRONLY | O.CREATE | O.TRUNCATE | O.EXCLUSIVE,
  'w+': O.RDWR | O.CREATE | O.TRUNCATE,
  'wx+': O.RDWR | O.CREATE | O.TRUNCATE | O.EXCLUSIVE,
  'rw': O.RDWR | O.CREATE, // an existing file or a new one, which fs has no letters for
};

const DIRECT = { required: 0, preferred: O.DIRECT_PREFERRED, off: O.BUFFERED };
const LOCK = { shared: O.LOCK_SHARED, exclusive: O.LOCK_EXCLUSIVE };
const SWITCHES = {
  dsync: O.DSYNC, nofollow: O.NOFOLLOW, nativeAlignment: O.NATIVE_ALIGN, dontCache: O.DONTCACHE,
  anonymous: O.ANONYMOUS,
};
const OPEN_OPTIONS = ['flags', 'mode', 'direct', 'lock', ...Object.keys(SWITCHES), 'class',
  'signal'];
const OPERATION_OPTIONS = ['class', 'signal'];

// uvdio.h: UVDIO_WRITE_*, UVDIO_SPACE_*, UVDIO_WRITE_LIFE_*
const WRITE_DURABLE = 1 << 0;
const WRITE_ATOMIC = 1 << 4;
const WRITE_LIFE = { notSet: 0, none: 1, short: 2, medium: 3, long: 4, extreme: 5 };
const SPACE = { reserve: 0, keepSize: 1 << 0, written: 1 << 1 };

// Numbers of `plain` in addon/file.c
const SYNC = 0, DATASYNC = 1, SIZE = 2, TRUNCATE = 3, PREALLOCATE = 4, PUNCH_HOLE = 5,
  ZERO_RANGE = 6, NEXT_DATA = 7, NEXT_HOLE = 8, HINT_EXTENT_SIZE = 9, HINT_WRITE_LIFE = 10,
  CLOSE = 11;

function toFlags(options) {
  let flags = oneOf(FLAGS, options.flags ?? 'r', 'flags');
  flags |= oneOf(DIRECT, options.direct ?? 'required', 'direct');
  if (options.lock !== undefined) {
    flags |= oneOf(LOCK, options.lock, 'lock');
  }
  if (options.anonymous && options.flags !== 'r+') {
    throw errors.valueError(`flags is ${errors.show(options.flags)}; an anonymous file is new, ` +
      'and opened with \'r+\'');
  }
  for (const [name, flag] of Object.entries(SWITCHES)) {
    if (options[name]) {
      flags |= flag;
    }
  }
  return flags;
}

function toWriteOptions(options, name) {
  const names = ['durable', 'atomic', ...OPERATION_OPTIONS];
  const { durable, atomic, class: of, signal } = toOptions(options, names, name);
  const flags = (durable ? WRITE_DURABLE : 0) | (atomic ? WRITE_ATOMIC : 0);
  return { flags, number: toClass(of), signal };
}

// What a program forgets to close is closed when the collector finds it, and told.
const forgotten = new FinalizationRegistry(({ file, path }) => {
  process.emitWarning(`The file '${path}' was closed by the garbage collector. Call close(), or ` +
    'use "await using"', 'UvdioWarning');
  native.plain(file, CLOSE, 0, 0, 0).catch(() => {});
});

class FileHandle {
  #file;
  #alignment;
  #memoryAlignment;
  #streams = new Set();
  #closing; // the promise of close()

  constructor(file, path) {
    const info = native.info(file);
    this.#file = file;
    this.#alignment = info.alignment;
    this.#memoryAlignment = info.memoryAlignment;
    forgotten.register(this, { file, path }, this);
  }

  get path() {
    return native.path(this.#file);
  }

  get fd() {
    return native.descriptor(this.#open('fd'));
  }

  get alignment() {
    return this.#alignment;
  }

  info() {
    return native.info(this.#open('info'));
  }

  async read(options) {
    const names = ['offset', 'length', ...OPERATION_OPTIONS];
    const { offset, length, class: of, signal } = toOptions(options, names, 'read()');
    const begin = toBytes(offset, 'offset', 0);
    const count = toBytes(length, 'length');
    const number = toClass(of);
    const file = this.#open('read');
    checkSignal(signal);
    if (count === 0) {
      return Buffer.alloc(0);
    }
    const align = this.#alignment;
    const skip = begin % align;
    const memory = Buffer.allocUnsafeSlow(Math.ceil((skip + count) / align) * align + PAGE - 1);
    inClass(number);
    const promise = native.read(file, memory, begin, count);
    const start = native.shared[START] + skip;
    const arrived = await settled(promise, signal);
    return memory.subarray(start, start + arrived);
  }

  async readInto(buffer, offset, options) {
    const { class: of, signal } = toOptions(options, OPERATION_OPTIONS, 'readInto()');
    const number = toClass(of);
    const bytes = toUint8Array(buffer, 'buffer');
    const begin = toBytes(offset, 'offset', 0);
    const file = this.#open('read');
    this.#checkAligned('read', 'offset', begin);
    this.#checkAligned('read', 'length', bytes.byteLength);
    this.#checkMemory(bytes);
    checkSignal(signal);
    inClass(number);
    return settled(native.readInto(file, bytes, begin), signal, errors.explainBusy);
  }

  async readv(buffers, offset, options) {
    const { class: of, signal } = toOptions(options, OPERATION_OPTIONS, 'readv()');
    const number = toClass(of);
    const begin = toBytes(offset, 'offset', 0);
    const file = this.#open('read');
    const list = this.#toVector('read', buffers, begin);
    list.forEach((bytes) => this.#checkMemory(bytes));
    checkSignal(signal);
    if (list.length === 0) {
      return 0;
    }
    inClass(number);
    return settled(native.readv(file, list, begin), signal, errors.explainBusy);
  }

  async readFile(options) {
    const { class: of, signal } = toOptions(options, OPERATION_OPTIONS, 'readFile()');
    const length = await this.size();
    return this.read({ offset: 0, length, class: of, signal });
  }

  async write(buffer, offset, options) {
    const { flags, number, signal } = toWriteOptions(options, 'write()');
    const bytes = toUint8Array(buffer, 'buffer');
    const begin = toBytes(offset, 'offset', 0);
    const file = this.#open('write');
    this.#checkAligned('write', 'offset', begin);
    this.#checkAligned('write', 'length', bytes.byteLength);
    checkSignal(signal);
    if (bytes.byteLength === 0) {
      return 0;
    }
    inClass(number);
    return settled(native.write(file, bytes, begin, flags), signal, errors.explainBusy);
  }

  async writev(buffers, offset, options) {
    const { flags, number, signal } = toWriteOptions(options, 'writev()');
    const begin = toBytes(offset, 'offset', 0);
    const file = this.#open('write');
    const list = this.#toVector('write', buffers, begin);
    checkSignal(signal);
    if (list.length === 0) {
      return 0;
    }
    inClass(number);
    return settled(native.writev(file, list, begin, flags), signal, errors.explainBusy);
  }

  async sync(options) {
    return this.#plain('sync', SYNC, 0, 0, 0, options);
  }

  async datasync(options) {
    return this.#plain('datasync', DATASYNC, 0, 0, 0, options);
  }

  async truncate(size = 0, options) {
    return this.#plain('truncate', TRUNCATE, 0, toBytes(size, 'size'), 0, options);
  }

  async preallocate(offset, length, options) {
    const names = ['space', ...OPERATION_OPTIONS];
    const { space, class: of, signal } = toOptions(options, names, 'preallocate()');
    const flags = oneOf(SPACE, space ?? 'reserve', 'space');
    return this.#plain('preallocate', PREALLOCATE, toBytes(offset, 'offset'),
      toBytes(length, 'length'), flags, { class: of, signal });
  }

  async punchHole(offset, length, options) {
    return this.#plain('punchHole', PUNCH_HOLE, toBytes(offset, 'offset'),
      toBytes(length, 'length'), 0, options);
  }

  async zeroRange(offset, length, options) {
    return this.#plain('zeroRange', ZERO_RANGE, toBytes(offset, 'offset'),
      toBytes(length, 'length'), 0, options);
  }

  async nextData(offset = 0, options) {
    return this.#plain('nextData', NEXT_DATA, toBytes(offset, 'offset'), 0, 0, options);
  }

  async nextHole(offset = 0, options) {
    return this.#plain('nextHole', NEXT_HOLE, toBytes(offset, 'offset'), 0, 0, options);
  }

  async setHint(hints, options) {
    const { extentSize, writeLife } = toOptions(hints, ['extentSize', 'writeLife'], 'setHint()');
    if (extentSize !== undefined) {
      const bytes = toBytes(extentSize, 'extentSize');
      await this.#plain('setHint', HINT_EXTENT_SIZE, 0, bytes, 0, options);
    }
    if (writeLife !== undefined) {
      const life = oneOf(WRITE_LIFE, writeLife, 'writeLife');
      await this.#plain('setHint', HINT_WRITE_LIFE, 0, life, 0, options);
    }
  }

  async size() {
    return settled(native.plain(this.#open('size'), SIZE, 0, 0, 0));
  }

  async stat() {
    return settled(native.stat(this.#open('stat')));
  }

  async replace(path, options) {
    const { signal } = toOptions(options, ['signal'], 'replace()');
    const target = toPath(path);
    const file = this.#open('replace');
    checkSignal(signal);
    await settled(native.replace(file, target), signal);
  }

  async link(path, options) {
    const { signal } = toOptions(options, ['signal'], 'link()');
    const target = toPath(path);
    const file = this.#open('link');
    checkSignal(signal);
    await settled(native.linkFile(file, target), signal);
  }

  // Of operations that are given none, and of streams.
  setClass(which) {
    native.setFileClass(this.#open('setClass'), toClass(which));
  }

  createReadStream(options) {
    const stream = streams.createReadStream(this, this.#open('read'), options);
    return this.#track(stream);
  }

  createWriteStream(options) {
    const stream = streams.createWriteStream(this, this.#open('write'), options);
    return this.#track(stream);
  }

  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [errors.asyncDispose]() {
    return this.close();
  }

  // Streams first: they read and write the file until they have ended. A writing one has bytes that
  // are on their way.
  async #close() {
    forgotten.unregister(this);
    for (const stream of this.#streams) {
      if (stream instanceof Writable && !stream.destroyed) {
        stream.end();
      } else {
        stream.destroy();
      }
    }
    await Promise.all([...this.#streams].map((stream) => stream.ended));
    return settled(native.plain(this.#file, CLOSE, 0, 0, 0));
  }

  #track(stream) {
    this.#streams.add(stream);
    stream.ended.then(() => this.#streams.delete(stream));
    return stream;
  }

  #open(syscall) {
    if (this.#closing !== undefined) {
      throw errors.closedError(syscall, this.path);
    }
    return this.#file;
  }

  async #plain(syscall, which, offset, length, flags, options) {
    const { class: of, signal } = toOptions(options, OPERATION_OPTIONS, `${syscall}()`);
    const number = toClass(of);
    const file = this.#open(syscall);
    checkSignal(signal);
    inClass(number);
    return settled(native.plain(file, which, offset, length, flags), signal);
  }

  // Empty ones have no part in a transfer.
  #toVector(syscall, buffers, offset) {
    if (!Array.isArray(buffers)) {
      throw errors.typeError(`buffers is ${errors.show(buffers)}; it has to be an array of them`);
    }
    const list = buffers.map((buffer, i) => toUint8Array(buffer, `buffers[${i}]`));
    this.#checkAligned(syscall, 'offset', offset);
    list.forEach((bytes, i) => {
      this.#checkAligned(syscall, `length of buffers[${i}]`, bytes.byteLength);
    });
    return list.filter((bytes) => bytes.byteLength > 0);
  }

  #checkAligned(syscall, name, value) {
    const align = this.#alignment;
    if (value % align !== 0) {
      const hint = syscall === 'read' ? 'read() takes any offset and length'
        : 'a stream of createWriteStream() and a log of openLog() take any number of bytes';
      throw errors.alignmentError(syscall, this.path,
        `${name} ${value} is not a multiple of ${align}, the file's alignment (${hint})`);
    }
  }

  // A buffer of somebody else's can't be held while the kernel writes to it.
  #checkMemory(bytes) {
    if (bytes.byteLength === 0) {
      throw errors.valueError('the buffer has no bytes: it is empty, or its ArrayBuffer detached');
    }
    if (!isOurs(bytes)) {
      throw errors.libraryError('UVDIO_EALIGN', -5001, 'read', this.path,
        'readInto() and readv() take memory of alloc(), or parts of it; read() makes its own');
    }
    const begin = bytes.byteOffset;
    if (begin % this.#memoryAlignment !== 0) {
      throw errors.alignmentError('read', this.path,
        `the buffer begins ${begin} bytes behind the begin of its memory, which is not a ` +
        `multiple of ${this.#memoryAlignment}`);
    }
  }
}

const blocks = new WeakSet(); // ArrayBuffers of alloc()

const isOurs = (bytes) => blocks.has(bytes.buffer);

// Node frees the memory with its thread. Of what transfer() makes it does not know that, and lets
// other threads have it, which would be left with memory that is gone.
function refuseTransfer() {
  const error = new TypeError('memory of alloc() can\'t be transferred; copy it, by slice()');
  error.code = 'ERR_INVALID_STATE';
  throw error;
}

const STAYS = {
  transfer: { value: refuseTransfer }, transferToFixedLength: { value: refuseTransfer },
};

function alloc(size) {
  const length = toBytes(size, 'size');
  if (length === 0) {
    throw errors.valueError('size is 0; alloc() has at least one byte');
  }
  const memory = native.alloc(length);
  blocks.add(memory);
  Object.defineProperties(memory, STAYS);
  return Buffer.from(memory, 0, length);
}

// open(path, flags, mode) as in fs, or open(path, options)
async function open(path, flags, mode) {
  const given = flags === undefined || typeof flags === 'string' ? { flags, mode } : flags;
  const options = toOptions(given, OPEN_OPTIONS, 'open()');
  const target = toPath(path);
  const bits = toFlags(options);
  const permissions = errors.toMode(options.mode, 0o666);
  const number = toClass(options.class);
  checkSignal(options.signal);
  inClass(number);
  const file = await settled(native.open(target, bits, permissions), options.signal);
  native.setFileClass(file, number);
  return new FileHandle(file, target);
}

module.exports = { FileHandle, alloc, open };
